"""Where an object lies, in a folder and in a bucket alike.

    <root>/
    ├── sha256/
    │   └── ab/
    │       └── cd/
    │           └── abcd...            64 hexadecimal digits: one object, whole, read-only
    ├── tmp/
    │   └── 6f0c....part               an object on its way in, locked by whoever writes it
    └── .lock                          shared while an object appears, exclusive while one goes

A key follows from the digest alone; no caller's text ever becomes part of a path.
"""

import re

from registry.artifact import Digest

OBJECTS = "sha256"
FRAGMENTS = "tmp"
LOCK = ".lock"

_HEX = re.compile(r"[0-9a-f]{64}")


def key_of(digest: Digest) -> str:
    """Return the object's key, ``sha256/ab/cd/<hex>``; ``digest_of(key_of(d)) == d``."""
    return f"{OBJECTS}/{digest.hex[:2]}/{digest.hex[2:4]}/{digest.hex}"


def digest_of(key: str) -> Digest | None:
    """Return the digest whose key this is, or None for what is no object's key."""
    name = key.rpartition("/")[2]
    if _HEX.fullmatch(name) is None:
        return None
    digest = Digest(name)
    return digest if key_of(digest) == key else None
