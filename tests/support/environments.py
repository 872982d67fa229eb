"""Virtual environments of programs that are not ours, made on demand from pinned requirements."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STAMP = "installed.txt"

_INSTALL = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--only-binary=:all:")
_WITHOUT_NETWORK = ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "Network is unreachable")


class NotInstalledError(Exception):
    """An environment could not be made; the message holds the installer's last words."""


class NoNetworkError(NotInstalledError):
    """An environment could not be made because the installer reached nobody."""


def make_environment(folder: Path, requirements: Path) -> Path:
    """Return the Python of an environment with exactly what the requirements say; made if it is not there.

    Processes that want the same one at once wait for the first.

    Raises:
        NoNetworkError: what it needs is not there, and there is nobody to get it from.
        NotInstalledError: it could not be installed.
    """
    python = folder / "bin" / "python"
    stamp = folder / STAMP
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(folder.with_suffix(".lock")):
        if stamp.exists() and stamp.read_bytes() == requirements.read_bytes():
            return python
        print(f"installing {folder.name} ...", file=sys.stderr, flush=True)  # noqa: T201 - it takes a while
        shutil.rmtree(folder, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(folder))
        _run(str(python), *_INSTALL, "-r", str(requirements))
        shutil.copy(requirements, stamp)
    return python


def is_unattended() -> bool:
    """Whether this is a run that nobody watches, in which nothing may be left out."""
    return bool(os.environ.get("CI"))  # noqa: TID251 - not a setting of ours


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode == 0:
        return
    kind = NoNetworkError if any(word in done.stderr for word in _WITHOUT_NETWORK) else NotInstalledError
    raise kind(f"not installed: {' '.join(done.stderr.split())[-300:]}")


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
