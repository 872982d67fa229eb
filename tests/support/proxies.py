"""Proxies on this machine: where their programs are, and a mark that skips tests where they are not."""

import os
import shutil
from pathlib import Path

import pytest

_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where Debian puts servers, which the search path of a user that is not root does not name."""


def find_program(name: str) -> Path | None:
    """Return where a program is, None if it is nowhere: on the search path, or where servers are installed."""
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(_SYSTEM_FOLDERS))
    return Path(found) if found is not None else None


def needs_program(name: str, package: str) -> pytest.MarkDecorator:
    """Return a mark that skips a test, with a word, where a program is not installed."""
    return pytest.mark.skipif(find_program(name) is None, reason=f"{name} (Debian: {package}) is not installed")


needs_haproxy = needs_program("haproxy", "haproxy")
