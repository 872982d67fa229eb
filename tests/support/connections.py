"""Whose connections from clients are whose."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.gateway_process import GatewayProcess


def connections_by_worker(gateway: GatewayProcess) -> dict[int, int]:
    """Return how many connections from clients each worker has, by its process id."""
    port = urlsplit(gateway.url).port
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01"}
    return {worker: sum(link in inodes for link in _links(worker)) for worker in gateway.workers()}


def _links(pid: int) -> Iterator[str]:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it has been closed meanwhile
            yield str(link.readlink())
