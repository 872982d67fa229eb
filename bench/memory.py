"""What a running gateway takes, by the kernel's word and by its own."""

import http.client
from dataclasses import dataclass
from pathlib import Path

from bench.servers import HOST
from tests.support.gateway_process import children_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Of all workers of a gateway together, with the one that stands by."""

    anonymous_bytes: int
    pss_bytes: int
    threads: int


def taken_by(pid: int) -> Taken:
    """Add up what the workers of the gateway with this process id take now, with the one that stands by."""
    workers = [*children_of(pid, "gateway.worker"), *children_of(pid, "gateway.standby")]
    maps = [_rollup(pid) for pid in workers]
    return Taken(
        anonymous_bytes=sum(fields["Anonymous"] for fields in maps),
        pss_bytes=sum(fields["Pss"] for fields in maps),
        threads=sum(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in workers),
    )


def metrics_of(port: int, *, host: str = HOST, token: str | None = None) -> dict[str, float]:
    """Return the gateway's samples that have no labels, and the sums over labels of the others, by name."""
    connection = http.client.HTTPConnection(host, port, timeout=30)
    try:
        connection.request("GET", "/metrics", headers={} if token is None else {"authorization": f"Bearer {token}"})
        lines = connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()
    found: dict[str, float] = {}
    for line in lines:
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            name = name.partition("{")[0]
            found[name] = found.get(name, 0.0) + float(value)
    return found


def _rollup(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: int(value.split()[0]) * 1024 for name, _, value in (line.partition(":") for line in lines)}
