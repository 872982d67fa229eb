"""An MLflow server, asked over its REST API with Python's own HTTP client.

1. Only the server that was named is asked: redirects are not followed, and no URI that it answers is opened. Files come
   through its own route for the files of a registered version, whatever storage they lie in.
2. What it sends is bounded: documents, pages, files.

Source: MLflow documentation, REST API: registered models, model versions. The route of files is the one that MLflow's
own pages use (``/model-versions/get-artifact``); it is there since MLflow 1.9, where the server may read its artifacts.
"""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from gateway.cli.imports import MAX_MODELS, Unreadable
from gateway.client.errors import ConnectionFailed, UnusableArgument

_TIMEOUT_SECONDS: Final = 60.0
_MAX_DOCUMENT_BYTES: Final = 16 * 1024 * 1024
_MAX_PAGES: Final = 1000
_PAGE: Final = 100
_CHUNK_BYTES: Final = 1024 * 1024
_OK: Final = 200

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MlflowServer:
    """One server.

    Args:
        url: where it answers, with a path before its own if need be.
        token: sent as a bearer token; None for a server that wants none.
    """

    url: str
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise UnusableArgument(f"{self.url!r} is not a server's URL: write http://host:port")

    def models(self) -> list[Document]:
        """Return the registered models, each with its ``name`` and perhaps ``aliases``.

        Raises:
            ConnectionFailed: nobody answers.
            Unreadable: what answers is no MLflow server, or refuses.
        """
        found = []
        for page in self._pages("registered-models/search", "registered_models"):
            found.append(page)
            if len(found) > MAX_MODELS:
                raise Unreadable(f"the server has more than {MAX_MODELS} models")
        return found

    def model(self, name: str) -> Document:
        """Return one registered model with its ``aliases``; raises as ``models``."""
        found = self._get("registered-models/get", name=name).get("registered_model")
        return found if isinstance(found, dict) else {}

    def versions(self, name: str) -> list[Document]:
        """Return a model's versions; raises as ``models``."""
        if "'" in name and '"' in name:
            raise Unreadable("its name has both kinds of quotes: the server cannot be asked for it")
        quote = '"' if "'" in name else "'"
        found = self._pages("model-versions/search", "model_versions", filter=f"name={quote}{name}{quote}")
        return [version for version in found if version["name"] == name and "version" in version]

    def read_text(self, name: str, version: str, path: str, *, limit_bytes: int) -> str:
        """Return a file of a version as text; raises as ``models``."""
        with self._open(_artifact_path(name, version, path)) as answer:
            octets = answer.read(limit_bytes + 1)
        if len(octets) > limit_bytes:
            raise Unreadable(f"{path} is longer than {limit_bytes} bytes")
        return str(octets.decode("utf-8", "replace"))

    def download(self, name: str, version: str, path: str, *, target: Path, limit_bytes: int) -> None:
        """Write a file of a version to ``target``; raises as ``models``."""
        left = limit_bytes
        with self._open(_artifact_path(name, version, path)) as answer, target.open("xb") as file:
            while chunk := answer.read(_CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:
                    raise Unreadable(f"{path} is longer than {limit_bytes} bytes")
                file.write(chunk)

    def _pages(self, route: str, items: str, **query: str) -> Iterator[Document]:
        token = ""
        for _ in range(_MAX_PAGES):
            more = {"page_token": token} if token else {}
            page = self._get(route, max_results=str(_PAGE), **query, **more)
            found = page.get(items) or []
            yield from (item for item in found if isinstance(item, dict) and isinstance(item.get("name"), str))
            token = str(page.get("next_page_token") or "")
            if not token:
                return
        raise Unreadable(f"the server's list has more than {_MAX_PAGES} pages")

    def _get(self, route: str, **query: str) -> Document:
        with self._open(f"/api/2.0/mlflow/{route}?{urlencode(query)}") as answer:
            octets = answer.read(_MAX_DOCUMENT_BYTES + 1)
        try:
            document = json.loads(octets) if len(octets) <= _MAX_DOCUMENT_BYTES else None
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise Unreadable(f"{self.url} does not answer as an MLflow server does")
        return document

    @contextmanager
    def _open(self, path: str) -> Iterator[http.client.HTTPResponse]:
        """Give a good answer to a GET, to be read within the block."""
        parts = urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=_TIMEOUT_SECONDS)
        headers = {"accept": "*/*", "user-agent": "sardonyx"} | (
            {"authorization": f"Bearer {self.token}"} if self.token else {}
        )
        try:
            connection.request("GET", parts.path.rstrip("/") + path, headers=headers)
            answer = connection.getresponse()
            if answer.status != _OK:
                raise Unreadable(f"the server answered {answer.status}: {_message(answer.read(_CHUNK_BYTES))}")
            yield answer
        except (http.client.HTTPException, OSError) as error:
            if isinstance(error, OSError) and error.filename is not None:
                raise  # a file of ours
            raise ConnectionFailed(f"no MLflow server answered at {self.url}: {error}") from error
        finally:
            connection.close()


def _artifact_path(name: str, version: str, path: str) -> str:
    return "/model-versions/get-artifact?" + urlencode({"name": name, "version": version, "path": path})


def _message(octets: bytes) -> str:
    """Return what an MLflow server says was wrong, cut short."""
    try:
        document = json.loads(octets)
        text = str(document.get("message") or document.get("error_code") or "") if isinstance(document, dict) else ""
    except (ValueError, RecursionError):
        text = ""
    return text[:200] or "without a word"
