"""What a file system's errors mean to whoever stores or reads artifacts."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from registry.errors import InsufficientStorage, ServiceError, StorageUnavailable

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The disk, the user's quota or the process's largest file (RLIMIT_FSIZE) is exhausted."""


def translate(error: OSError, *, doing: str) -> ServiceError:
    """Return ``error`` in our words: what was being done and the kernel's reason, never a path."""
    if error.errno in _FULL:
        return InsufficientStorage(f"there is not enough disk space for {doing}")
    reason = os.strerror(error.errno) if error.errno is not None else type(error).__name__
    return StorageUnavailable(f"{doing} failed: {reason}", retry_after_seconds=5)


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Raise an OSError of the block as StorageUnavailable, or as InsufficientStorage where a disk is full."""
    try:
        yield
    except OSError as error:
        raise translate(error, doing=doing) from error
