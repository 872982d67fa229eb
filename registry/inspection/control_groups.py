"""What the control groups that this process is in let it take, whichever version of them the machine has.

1. ``/proc/self/cgroup`` says which they are: one group in version 2 (``0::/system.slice/sardonyx.service``), one for
   each controller in version 1 (``4:memory:/system.slice/sardonyx.service``). Not only containers are in one.
2. What a group may take, all below it may take together: the least limit of a group and of those above it counts.
3. In a container ``/proc`` may name a group as the host sees it, while the container sees it as the root of the tree:
   the root always counts, and what is not there limits nothing.

Source: Linux man page cgroups(7); Documentation/admin-guide/cgroup-v2.rst.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

_MACHINE: Final = Path("/")

_MEMORY_FILES: Final = ("memory.max", "memory.limit_in_bytes")


def memory_limit_bytes(machine: Path = _MACHINE) -> int | None:
    """Return the bytes of memory that this process's groups may take; None where nothing limits them.

    Args:
        machine: the folder that has ``proc`` and ``sys``.
    """
    texts = [_read(group / name) for group in _groups("memory", machine) for name in _MEMORY_FILES]
    return min((int(text) for text in texts if text.isdigit()), default=None)


def cpu_quota(machine: Path = _MACHINE) -> float | None:
    """Return how many CPUs this process's groups may keep busy, such as 1.5; None for all there are.

    Args:
        machine: as of ``memory_limit_bytes``.
    """
    quotas = [_quota(group) for group in _groups("cpu", machine)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _groups(controller: str, machine: Path) -> Iterator[Path]:
    """Yield the folders of the groups that a controller may limit: the roots, and what leads to this process's."""
    tree = machine / "sys/fs/cgroup"
    roots = {"": tree, controller: tree / controller}
    yield from roots.values()
    for line in _read(machine / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        steps = path.strip("/").split("/")
        if ".." in steps:  # a group beside the root that this process sees
            continue
        for name in roots.keys() & set(controllers.split(",")):
            yield from (roots[name].joinpath(*steps[:count]) for count in range(1, len(steps) + 1))


def _quota(group: Path) -> float | None:
    words = _read(group / "cpu.max").split()
    if not words:
        words = [_read(group / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
    if len(words) == 2 and all(word.isdigit() for word in words) and int(words[1]):  # noqa: PLR2004 - quota, period
        return int(words[0]) / int(words[1])
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError:
        return ""
