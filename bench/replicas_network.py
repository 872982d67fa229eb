"""Hosts for a trial: network namespaces, each with addresses of its own and one link to each network it is on.

1. There are three networks, each a bridge with this machine at the end .1: one where requests travel, one with the
   database, one with the store. So a host can be cut off from one of them alone, as by a switch that fails: packets
   vanish, nobody is told, and every connection stays open.
2. Everything is named ``sardonyx-...`` or ``sdx-...`` and is removed by its name, before and after, with whatever runs
   there. A lock keeps two trials from taking each other's.
3. The addresses are those that RFC 2544 keeps for benchmarks.
"""

import fcntl
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum

from bench.servers import CACHE, ServerFailedError

IP = "/usr/sbin/ip"


class Network(Enum):
    """What travels there; the value is the third part of its addresses."""

    FRONT = 1
    DATABASE = 2
    STORE = 3

    @property
    def bridge(self) -> str:
        return f"sdx-{self.name.lower()}"

    @property
    def here(self) -> str:
        """This machine's own address."""
        return self.address(1)

    def address(self, number: int) -> str:
        return f"198.18.{self.value}.{number}"


@dataclass(frozen=True, slots=True)
class Host:
    """A namespace; the last part of its addresses is ten more than ``number``."""

    name: str
    number: int

    @property
    def namespace(self) -> str:
        return f"sardonyx-{self.name}"

    @property
    def address(self) -> str:
        """Where requests reach it."""
        return Network.FRONT.address(self.number + 10)

    def command(self, *words: str) -> list[str]:
        """Return the command that runs another one on this host."""
        return [IP, "netns", "exec", self.namespace, *words]

    def cut(self, network: Network) -> None:
        """Take its plug out of the switch."""
        _ip("link", "set", self._plug(network), "nomaster")

    def mend(self, network: Network) -> None:
        """Put it back."""
        _ip("link", "set", self._plug(network), "master", network.bridge)

    def kill(self) -> None:
        """End all processes of it at once, as when a machine dies."""
        _kill_all(self.namespace)

    def plug_in(self) -> None:
        """Make the host, with a link to each network."""
        _ip("netns", "add", self.namespace)
        _ip("-n", self.namespace, "link", "set", "lo", "up")
        for network in Network:
            inside, address = network.name.lower(), f"{network.address(self.number + 10)}/24"
            plug = self._plug(network)
            _ip("link", "add", plug, "type", "veth", "peer", "name", inside, "netns", self.namespace)
            _ip("link", "set", plug, "master", network.bridge, "up")
            _ip("-n", self.namespace, "address", "add", address, "dev", inside)
            _ip("-n", self.namespace, "link", "set", inside, "up")

    def _plug(self, network: Network) -> str:
        return f"sdx-{self.number}-{network.name.lower()}"


def gateway_host(number: int) -> Host:
    """Return the host of a gateway: the proxy knows it by the same name, and its place on the ring is this number."""
    return Host(f"gateway{number}", number)


@contextmanager
def hosts(made: Sequence[Host]) -> Iterator[None]:
    """Make the networks and these hosts for as long as the block takes.

    Raises:
        ServerFailedError: this machine does not allow it, or another trial has them.
    """
    if os.geteuid() != 0 or not os.access(IP, os.X_OK):
        raise ServerFailedError(f"network namespaces are made by root, with {IP} (Debian: iproute2)")
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "replicas.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ServerFailedError("another trial has the hosts") from None
        _remove()
        try:
            for network in Network:
                # A bridge has a port's address, unless it is told another: what comes in at a plug that is out would be
                # taken for its own.
                _ip("link", "add", network.bridge, "address", f"02:5d:00:00:00:0{network.value}", "type", "bridge")
                _ip("address", "add", f"{network.here}/24", "dev", network.bridge)
                _ip("link", "set", network.bridge, "up")
            for host in made:
                host.plug_in()
            yield
        finally:
            _remove()


def _remove() -> None:
    for line in _ip("netns", "list").splitlines():
        namespace = line.partition(" ")[0]
        if namespace.startswith("sardonyx-"):
            _kill_all(namespace)
            _ip("netns", "delete", namespace)  # its links go with it
    for line in _ip("-brief", "link").splitlines():
        name = line.partition(" ")[0].partition("@")[0]
        if name.startswith("sdx-"):
            with suppress(ServerFailedError):  # a link has two ends, and both go at once
                _ip("link", "delete", name)


def _kill_all(namespace: str) -> None:
    while pids := _ip("netns", "pids", namespace).split():  # until none has forked meanwhile
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def _ip(*words: str) -> str:
    done = subprocess.run([IP, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerFailedError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
