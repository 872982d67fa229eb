"""Three gateways, a registry, one PostgreSQL and one store, behind a proxy as it is printed."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import httpx

from gateway.deployment.deployed import Deployment, Server
from gateway.deployment.haproxy import print_haproxy
from tests.support.gateway_process import GatewayProcess, fixed_port, started_gateway, wait_until, wait_until_ready
from tests.support.postgres import make_postgres_database
from tests.support.proxies import Proxy, running_haproxy
from tests.support.relay import Relay, relaying

RunProxy: TypeAlias = Callable[[Deployment, Path], AbstractContextManager[Proxy]]

GATEWAYS = 3
ROW = [[1.0, 2.0, 3.0, 4.0]]
SAID = re.compile(r" gateways/(\w+) is (UP|DOWN|stopping)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What runs; gateways and their wires to the database by the names that the proxy has for them."""

    proxy: Proxy
    gateways: Mapping[str, GatewayProcess]
    wires: Mapping[str, Relay]
    registry: GatewayProcess

    def client(self) -> httpx.Client:
        """Return somebody else's client for the proxy."""
        return httpx.Client(base_url=self.proxy.url, timeout=60, trust_env=False)

    def wait_for(self, count: int) -> None:
        """Return once the proxy sees so many gateways."""
        with self.client() as client:
            wait_until(lambda: client.get("/proxy/live").status_code == 200)
        wait_until(lambda: len(self.up()) == count)

    def up(self) -> set[str]:
        """Return which gateways the proxy sees, by what it has said last of each."""
        state = dict.fromkeys(self.gateways, True)
        for name, said in SAID.findall(self.proxy.log_path.read_text()):
            state[name] = said == "UP"
        return {name for name, is_up in state.items() if is_up}


def run_haproxy(deployment: Deployment, folder: Path) -> AbstractContextManager[Proxy]:
    """Run HAProxy with what is printed for a deployment on this machine."""
    return running_haproxy(print_haproxy(deployment), folder, port=deployment.port, grpc_port=deployment.grpc_port)


@contextmanager
def running_fleet(folder: Path, run_proxy: RunProxy = run_haproxy, **variables: str) -> Iterator[Fleet]:
    """Run all of it, ready, and end it at the end."""
    database = make_postgres_database()
    places = {"store": str(folder / "store"), **variables}
    with ExitStack() as opened:
        registry = opened.enter_context(
            started_gateway(folder / "registry", database_url=database, role="registry", **places)
        )
        gateways: dict[str, GatewayProcess] = {}
        wires: dict[str, Relay] = {}
        servers = []
        for number in range(1, GATEWAYS + 1):
            name, grpc_port = f"gateway{number}", fixed_port()
            wire = wires[name] = opened.enter_context(relaying(urlsplit(database).port or 0))
            url = database.replace(f":{urlsplit(database).port}/", f":{wire.port}/")
            gateways[name] = opened.enter_context(
                started_gateway(folder / name, database_url=url, role="gateway", grpc_port=str(grpc_port), **places)
            )
            servers.append(_server(number, name, gateways[name], grpc_port))
        for gateway in (registry, *gateways.values()):
            wait_until_ready(gateway)
        deployment = Deployment(
            gateways=tuple(servers),
            registries=(_server(1, "registry1", registry, None),),
            host="127.0.0.1",
            port=fixed_port(),
            grpc_port=fixed_port(),
        )
        proxy = opened.enter_context(run_proxy(deployment, folder))
        yield Fleet(proxy=proxy, gateways=gateways, wires=wires, registry=registry)


def _server(number: int, name: str, gateway: GatewayProcess, grpc_port: int | None) -> Server:
    place = urlsplit(gateway.url)
    return Server(id=number, name=name, host="127.0.0.1", port=place.port or 0, grpc_port=grpc_port)
