"""The files that a child needs besides its model's: Python, the runtime, the C library, and facts of the machine.

Nothing here is written by the gateway, and nothing is a secret: no home, no configuration, no other process's /proc.
"""

import sys
from pathlib import Path

import registry

_LIBRARIES = ("/usr", "/lib", "/lib32", "/lib64", "/nix/store", "/etc/ld.so.cache", "/etc/locale.alias")
_LOCAL_TIME = ("/etc/localtime", "/etc/timezone")
_MACHINE = (
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
    "/dev/null",
    "/dev/urandom",
)
_PACKAGE_FOLDERS = ("site-packages", "dist-packages")


def program_files() -> list[Path]:
    """Return the folders and files that this process needs, as it is: ``/proc/self`` is its own."""
    prefixes = [Path(sys.prefix), Path(sys.base_prefix), Path(sys.exec_prefix)]
    packages = [Path(entry) for entry in sys.path if Path(entry).name in _PACKAGE_FOLDERS]
    ours = [Path(entry) for entry in registry.__path__]
    named = [path for path in (*prefixes, *packages, *ours) if path != path.parent]  # the root would be everything
    return [*named, *map(Path, (*_LIBRARIES, *_LOCAL_TIME, *_MACHINE))]
