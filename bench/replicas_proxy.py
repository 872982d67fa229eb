"""HAProxy in front of the gateways, on a host of its own.

1. It runs what ``sardonyx deploy print haproxy`` prints, and beside it only a socket at which its state can be read.
2. For the comparison the same configuration is run with ``balance roundrobin`` in the place of the hash.
"""

import csv
import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.replicas_network import Host
from bench.servers import ServerFailedError

PROXY = Host("proxy", 91)
PORT = 8000
"""Of the proxy, and of each gateway."""
START_SECONDS = 30.0
BACKEND = "gateways"

_HASHED = re.compile(r"^([ \t]*)balance hash .*$", re.MULTILINE)
_OF_THE_HASH = re.compile(r"^[ \t]*hash-(type|balance-factor)\b.*\n", re.MULTILINE)


def configuration(gateways: Sequence[Host], registry: Host, *words: str) -> str:
    """Return what ``sardonyx deploy print haproxy`` prints for these; a gateway's id on the ring is its number.

    Args:
        gateways: in the order of the configuration.
        registry: where the control plane is.
        words: more of the command.

    Raises:
        ServerFailedError: it prints nothing.
    """
    program = str(Path(sys.executable).with_name("sardonyx"))
    named = [word for host in gateways for word in ("--gateway", f"{host.number}={host.address}:{PORT}")]
    places = [*named, "--registry", f"{registry.address}:{PORT}", "--port", str(PORT)]
    command = [program, "deploy", "print", "haproxy", "--json", *places, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerFailedError(f"deploy print: {done.stderr}")
    text: str = json.loads(done.stdout)["text"]
    return text


def round_robin(text: str) -> str:
    """Return the same configuration without a hash.

    Raises:
        ServerFailedError: it has none.
    """
    changed, count = _HASHED.subn(r"\1balance roundrobin", text)
    if count == 0:
        raise ServerFailedError("the configuration hashes nothing")
    return _OF_THE_HASH.sub("", changed)


class Proxy:
    """A proxy that runs."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def states(self) -> dict[str, str]:
        """Return what it thinks of each gateway: ``UP``, ``DOWN``, ``NOLB`` and the like."""
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(self._place))
            asking.sendall(b"show stat\n")
            rows = csv.DictReader(asking.makefile().read().removeprefix("# ").splitlines())
        servers = [row for row in rows if row["pxname"] == BACKEND and row["svname"] not in ("FRONTEND", "BACKEND")]
        return {row["svname"]: row["status"].partition(" ")[0] for row in servers}

    def wait_until(self, holds: Callable[[dict[str, str]], bool], seconds: float = START_SECONDS) -> None:
        """Return once its opinion of the gateways is as wanted.

        Raises:
            ServerFailedError: it was not in time.
        """
        until = time.monotonic() + seconds
        while not holds(states := self.states()):
            if time.monotonic() > until:
                raise ServerFailedError(f"the proxy goes on thinking {states}")
            time.sleep(0.05)


@contextmanager
def running_proxy(folder: Path, text: str) -> Iterator[Proxy]:
    """Start a proxy on its host, and end it.

    Raises:
        ServerFailedError: there is none on this machine, or it does not take the configuration.
    """
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if program is None:
        raise ServerFailedError("there is no haproxy on this machine (Debian: haproxy)")
    place = folder / "haproxy.sock"
    (folder / "haproxy.cfg").write_text(text)
    (folder / "watch.cfg").write_text(f"global\n  stats socket {place} mode 600 level admin\n")
    command = PROXY.command(program, "-db", "-f", str(folder / "haproxy.cfg"), "-f", str(folder / "watch.cfg"))
    log = folder / "haproxy.log"
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        until = time.monotonic() + START_SECONDS
        while not place.exists():
            if process.poll() is not None or time.monotonic() > until:
                raise ServerFailedError(f"haproxy did not start\n{log.read_text()[-2000:]}")
            time.sleep(0.02)
        yield Proxy(place)
    finally:
        process.kill()
        process.wait()
        place.unlink(missing_ok=True)
