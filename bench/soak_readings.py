"""What the kernel says of a gateway at one moment: memory, threads, descriptors, connections, temporary files."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from bench.processes import tree
from tests.support.gateway_process import command_of

Count: TypeAlias = Callable[[Iterable[str]], int]

_MEMORY = {"Anonymous": "anonymous", "Pss": "PSS", "Rss": "RSS"}
_HELD = ("01", "02", "03", "04", "05", "08", "09", "0B")
"""States of a connection that a process holds: neither listening nor waiting for the kernel to forget it."""


class Readings:
    """Reads a gateway.

    Args:
        pid: of its supervisor.
        ports: on which it listens.
        scratch: folders in which what is on its way lies, and nothing else.
        database_connections: returns how many the gateway has, by its descriptors' targets or by the server's word.
    """

    def __init__(self, pid: int, ports: Sequence[int], scratch: Sequence[Path], database_connections: Count) -> None:
        self._pid = pid
        self._ports = {f"{port:04X}" for port in ports}
        self._scratch = scratch
        self._database_connections = database_connections

    def read(self) -> dict[str, int]:
        """Return every measure, now."""
        pids = list(tree(self._pid))
        workers = [pid for pid in pids if b"gateway.worker" in command_of(pid).split(b"\0")]
        links = {pid: list(_links(pid)) for pid in pids}
        found: dict[str, int] = {}
        for whose, which in (("all", pids), ("workers", workers)):
            memory = [_rollup(pid) for pid in which]
            for field, name in _MEMORY.items():
                found[f"{name} of {whose}, bytes"] = sum(fields.get(field, 0) for fields in memory)
        for whose, which in (("all", pids), ("workers", workers)):
            found[f"descriptors of {whose}"] = sum(len(links[pid]) for pid in which)
            found[f"threads of {whose}"] = sum(_thread_count(pid) for pid in which)
        found["processes"] = len(pids)
        found["most descriptors of a process"] = max(map(len, links.values()))
        found["connections of clients"] = self._connection_count()
        found["temporary files"] = sum(_file_count(folder) for folder in self._scratch)
        found["connections to the database"] = self._database_connections(
            link for each in links.values() for link in each
        )
        return found

    def _connection_count(self) -> int:
        count = 0
        for name in ("/proc/net/tcp", "/proc/net/tcp6"):
            for line in Path(name).read_text().splitlines()[1:]:
                fields = line.split()
                count += fields[1].rpartition(":")[2] in self._ports and fields[3] in _HELD
        return count


def _rollup(pid: int) -> dict[str, int]:
    with suppress(OSError, ValueError, IndexError):  # it has just ended
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        return {name: int(value.split()[0]) * 1024 for name, _, value in (line.partition(":") for line in lines)}
    return {}


def _links(pid: int) -> Iterator[str]:
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                yield str(descriptor.readlink())


def _thread_count(pid: int) -> int:
    with suppress(OSError):
        return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
    return 0


def _file_count(folder: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(folder))  # which passes over what goes meanwhile
