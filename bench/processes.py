"""What the kernel says of a process and its descendants: CPU time, sockets."""

import ipaddress
import os
import signal
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_LISTENING = "0A"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def tree(pid: int) -> Iterator[int]:
    """Yield the process and its living descendants."""
    yield pid
    for child in _children(pid):
        yield from tree(child)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):  # the process, or a thread of it, has just ended
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += map(int, (thread / "children").read_text().split())
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time that the process and all its living descendants have taken."""
    ticks = 0
    for each in tree(pid):
        with suppress(OSError):
            fields = _stat(each)
            ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS_PER_SECOND


def busy_seconds(cores: Collection[int]) -> float:
    """CPU time that these cores have spent on anything, steal included."""
    names = {f"cpu{core}" for core in cores}
    ticks = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name in names:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
            ticks += user + nice + system + irq + softirq + steal
    return ticks / _TICKS_PER_SECOND


def open_addresses(pid: int) -> set[Address]:
    """Return the addresses other than loopback on which the process or a descendant listens."""
    inodes = set(_socket_inodes(pid))
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENING and fields[9] in inodes:
                found.add(parse_address(fields[1].partition(":")[0]))
    return {address for address in found if not address.is_loopback}


def clients_of(pid: int, port: int) -> set[int]:
    """Return the ports of the clients on this machine whose connections to ``port`` the process has taken."""
    inodes = set(_socket_inodes(pid))
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[9] in inodes and fields[3] != _LISTENING and _port(fields[1]) == port:
            found.add(_port(fields[2]))
    return found


def halt(pid: int) -> None:
    """Have a process stand still, and return when all its threads do."""
    os.kill(pid, signal.SIGSTOP)
    while any(_stat(int(thread.name), of=pid)[0] not in "TZX" for thread in Path(f"/proc/{pid}/task").iterdir()):
        time.sleep(0.0005)


def parse_address(text: str) -> Address:
    """Read an address as the kernel prints it: words of four bytes, each in the machine's order (little-endian)."""
    words = [bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8)]
    address = ipaddress.ip_address(b"".join(words))
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


class Descendants:
    """The tree of a process as it is now, so that whatever of it outlives the process can be ended."""

    def __init__(self, pid: int) -> None:
        self._began: dict[int, str] = {}
        for each in tree(pid):
            with suppress(OSError):
                self._began[each] = _stat(each)[19]

    def kill(self) -> None:
        """End those that are left; a number that has been given to another process since is left alone."""
        for pid, began in self._began.items():
            with suppress(OSError):
                if _stat(pid)[19] == began:
                    os.kill(pid, signal.SIGKILL)


def _stat(pid: int, *, of: int | None = None) -> list[str]:
    # The name in parentheses may hold spaces; utime and stime are the 14th and 15th field of all, starttime the 22nd.
    folder = f"/proc/{pid}" if of is None else f"/proc/{of}/task/{pid}"
    return Path(folder, "stat").read_text().rpartition(")")[2].split()


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def _socket_inodes(pid: int) -> Iterator[str]:
    for each in tree(pid):
        with suppress(OSError):
            for descriptor in Path(f"/proc/{each}/fd").iterdir():
                with suppress(OSError):
                    target = str(descriptor.readlink())
                    if target.startswith("socket:["):
                        yield target[8:-1]
