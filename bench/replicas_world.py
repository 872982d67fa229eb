"""What a trial of several gateways runs on: hosts, one database, one store, a registry, and gateways that come and go.

1. Database and store run on this machine, each at its end of a network of its own. A registry on a host of its own
   registers and promotes; nothing is ever done to it. Gateways only answer.
2. A gateway that is started has nothing of its own: it finds an empty folder.
"""

import asyncio
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from bench.backends import backends
from bench.http_connection import Connection
from bench.memory import metrics_of
from bench.replicas_network import Host, Network, hosts
from bench.replicas_proxy import PORT, PROXY
from bench.servers import Server, running
from bench.soak import make_token
from bench.soak_gateway import promote, read, register

REGISTRY = Host("registry", 92)
REGISTERING = 2
"""How many models are registered at a time."""
BUDGET = "SARDONYX_MEMORY_BUDGET"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything but gateways and proxy, running."""

    folder: Path
    settings: Mapping[str, str]
    """Of the registry's database and the store."""
    token: str
    """An admin's."""

    def connect(self, host: Host) -> Connection:
        """Return a connection to the gateway, the registry or the proxy on a host."""
        return Connection(PORT, self.token, host=host.address)

    def url_of(self, host: Host) -> str:
        """Return where the gateway or the registry on a host is."""
        return f"http://{host.address}:{PORT}"

    def start(self, host: Host, more: Mapping[str, str]) -> Server:
        """Start a gateway without a past, not waited for yet."""
        shutil.rmtree(self._data_of(host), ignore_errors=True)
        return self._serve(host, "gateway", {"SARDONYX_RING_ID": str(host.number), **more})

    def log_of(self, host: Host) -> Path:
        """Return where all gateways of a host have written what they did."""
        return self.folder / f"{host.name}.log"

    def counted(self, host: Host) -> dict[str, float]:
        """Return what a gateway has counted since its start."""
        return metrics_of(PORT, host=host.address, token=self.token)

    def serve_registry(self) -> Server:
        """Start the registry, not waited for yet."""
        return self._serve(REGISTRY, "registry", {})

    def _data_of(self, host: Host) -> Path:
        return self.folder / f"{host.name}-data"

    def _serve(self, host: Host, role: str, more: Mapping[str, str]) -> Server:
        program = str(Path(sys.executable).with_name("sardonyx"))
        command = host.command(program, "serve", "--role", role, "--host", host.address, "--port", str(PORT))
        settings = {**self.settings, "SARDONYX_DATA_DIR": str(self._data_of(host)), **more}
        path = "/health/ready"
        return Server(command, port=PORT, host=host.address, ready_path=path, log=self.log_of(host), settings=settings)


@contextmanager
def world(folder: Path, gateways: Sequence[Host]) -> Iterator[World]:
    """Make the hosts, start database, store and registry, and take everything away at the end.

    Raises:
        ServerFailedError: it is not possible here.
    """
    with (
        hosts([PROXY, REGISTRY, *gateways]),
        backends(database_host=Network.DATABASE.here, store_host=Network.STORE.here) as parts,
    ):
        settings = parts.settings("replicas")
        made = World(folder=folder, settings=settings, token=make_token(folder, settings))
        with running(made.serve_registry()):
            yield made


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """A model to be registered: its versions' files, the first of which is promoted."""

    name: str
    contents: Sequence[bytes]


async def register_all(made: World, models: Sequence[Uploaded]) -> list[int]:
    """Register and promote, and return how many bytes the registry says that each model's first version takes."""
    measured = [0] * len(models)
    waiting = iter(enumerate(models))

    async def work() -> None:
        connection = made.connect(REGISTRY)
        try:
            for place, model in waiting:
                for content in model.contents:
                    await register(connection, model.name, content)
                await promote(connection, model.name, 1)
                answer = await connection.request("GET", f"/registry/models/{model.name}/versions/1")
                measured[place] = read(answer, 200)["memory_bytes"]
        finally:
            connection.close()

    await asyncio.gather(*(work() for _ in range(REGISTERING)))
    return measured


def lines_of(log: Path) -> Iterator[dict[str, object]]:
    """Yield what a gateway has logged, without what is no JSON: a process that is killed leaves half a line."""
    for line in log.read_bytes().splitlines() if log.exists() else ():
        if line.startswith(b"{") and line.endswith(b"}"):
            yield orjson.loads(line)
