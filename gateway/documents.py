"""Small JSON documents in a folder, for what a process that takes another's place should know.

1. A document is there whole or not at all: written beside its place and renamed. It need not survive a power cut.
2. The folder is a help and no source of truth: what cannot be written or read is not there.
"""

import contextlib
import uuid
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson


class DocumentFolder:
    """Documents by key, shared by any number of processes; every method blocks.

    Args:
        root: made when first written to.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, document: dict[str, Any]) -> None:
        """Replace the document."""
        content = orjson.dumps({"key": key, **document})
        path = self._path(key)
        with contextlib.suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fragment = path.with_name(f"{uuid.uuid4().hex}.part")
            fragment.write_bytes(content)
            fragment.replace(path)

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the document, or None."""
        try:
            document = orjson.loads(self._path(key).read_bytes())
        except (OSError, ValueError):
            return None
        return document if isinstance(document, dict) and document.get("key") == key else None

    def remove(self, key: str) -> None:
        """Remove the document; does nothing if it is not there."""
        with contextlib.suppress(OSError):
            self._path(key).unlink()

    def _path(self, key: str) -> Path:
        name = blake2b(key.encode(), digest_size=16).hexdigest()
        return self._root / name[:2] / f"{name}.json"
