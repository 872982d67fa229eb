"""What confines a child on this host: told by one that confines itself as they all do, and then looks and tries.

The parent's side is ``ask``; the child's is this module as a program. It says what it finds on its standard output.
"""

import ctypes
import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from registry.inspection.confinement import confine, forbid_processes, shut_in
from registry.inspection.limits import ChildLimits
from registry.inspection.process_filter import makes_threads_only
from registry.inspection.starting import ENVIRONMENT

_PATIENCE_SECONDS: Final = 30.0
_PR_GET_NO_NEW_PRIVS: Final = 39


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What is in force for a child."""

    landlock_abi: int
    """0 where Landlock is not there, or did not keep the child from a folder that it has no business with."""
    has_filter: bool
    """Whether the kernel refuses what ``process_filter`` lists."""
    has_own_network: bool
    """Whether it is in a network of its own, with nobody else in it."""
    gains_no_rights: bool
    is_root: bool
    rights: int
    """The capabilities that are left to it, as bits."""


def ask() -> Measures:
    """Start a child, and return what it tells.

    Raises:
        OSError: it cannot be started, or tells nothing.
    """
    with TemporaryDirectory(prefix="sardonyx-doctor-") as folder:
        try:
            done = subprocess.run(  # noqa: S603 - our own module, by an argument list
                [sys.executable, "-I", "-B", "-m", "registry.inspection.measures", _network(), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                cwd=folder,
                env=ENVIRONMENT,
                timeout=_PATIENCE_SECONDS,
                check=True,
            )
            return Measures(**json.loads(done.stdout))
        except (subprocess.SubprocessError, ValueError, TypeError) as error:
            raise OSError(f"a child that confines itself does not come to its end ({type(error).__name__})") from error


def _tell(their_network: str, parent_pid: int) -> Measures:
    """Confine this process, and find out how well that has gone."""
    is_root = os.geteuid() == 0
    confine(ChildLimits(), parent_pid)
    abi = shut_in(read=[Path()])
    forbid_processes()
    return Measures(
        landlock_abi=0 if _can_list(Path("/")) else abi,
        has_filter=makes_threads_only() and not _can_have_socket(),
        has_own_network=_network() != their_network,
        gains_no_rights=ctypes.CDLL(None).prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
        is_root=is_root,
        rights=_rights(),
    )


def _can_list(folder: Path) -> bool:
    with suppress(PermissionError):
        os.listdir(folder)  # noqa: PTH208 - iterdir would open it later
        return True
    return False


def _can_have_socket() -> bool:
    with suppress(PermissionError):
        socket.socket(socket.AF_UNIX).close()
        return True
    return False


def _network() -> str:
    return str(Path("/proc/self/ns/net").readlink())


def _rights() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_tell(sys.argv[1], int(sys.argv[2])))))
