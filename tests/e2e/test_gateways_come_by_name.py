"""Gateways as a cluster makes them: each is a name of the DNS, which is there or not, at a fixed place on the ring.

The proxy has the printed configuration, but for where its resolver is and which ports there are; dnsmasq is the DNS.
"""

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from tests.support import models
from tests.support.gateway_process import fixed_port, running_gateway, started_gateway, wait_until, wait_until_ready
from tests.support.manifests import manifests
from tests.support.postgres import make_postgres_database
from tests.support.proxies import Proxy, find_program, needs_haproxy, needs_program, running_haproxy
from tests.support.uploads import upload_all

pytestmark = [needs_haproxy, needs_program("dnsmasq", "dnsmasq-base"), pytest.mark.timeout(400)]

ADDRESSES = ("127.0.1.10", "127.0.1.11")
DOMAIN = "sardonyx-gateway.models.svc.cluster.local"
MODELS = [f"model-{number}" for number in range(12)]
ROW = {"inputs": [[1.0, 2.0, 3.0, 4.0]]}


@dataclass(frozen=True, slots=True)
class Cluster:
    """Two gateways on addresses of their own, a proxy, and a DNS that knows what ``names`` has."""

    proxy: Proxy
    names: Path

    def tell(self, *ordinals: int) -> None:
        """Have the DNS know these gateways and no other; it reads a new file by itself, and a changed one anew."""
        lines = [f"{ADDRESSES[ordinal]} sardonyx-gateway-{ordinal}.{DOMAIN}\n" for ordinal in ordinals]
        (self.names / "hosts").write_text("".join(lines), encoding="utf-8")

    def ask(self, client: httpx.Client, model: str) -> tuple[int, str]:
        """Return a prediction's status, and which gateway the proxy sent it to, which it logs when all is over."""
        before = len(self._lines(model))
        status = client.post(f"/v1/models/{model}/predict", json=ROW).status_code
        wait_until(lambda: len(self._lines(model)) > before)
        (place,) = re.findall(r" gateways/(\S+) ", self._lines(model)[-1])
        return status, place

    def _lines(self, model: str) -> list[str]:
        """Return what the proxy has logged of a model, a line for each request."""
        wanted = f"POST /v1/models/{model}/predict"
        return [line for line in self.proxy.log_path.read_text("utf-8").split("\n")[:-1] if wanted in line]

    def places(self, client: httpx.Client) -> dict[str, str]:
        """Return where each model is asked, all of which answer."""
        found = {model: self.ask(client, model) for model in MODELS}
        assert {status for status, _ in found.values()} == {200}
        return {model: place for model, (_, place) in found.items()}


@contextmanager
def running(command: list[str], log: Path) -> Iterator[None]:
    """Run a program until the end."""
    with log.open("ab") as opened:
        process = subprocess.Popen(command, env={}, stdout=opened, stderr=opened)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    names, store, dns_port, port, proxy_port = tmp_path / "names", tmp_path / "store", *(fixed_port() for _ in range(3))
    names.mkdir()
    database = make_postgres_database()
    shared = {"database_url": database, "store": str(store)}
    configuration = manifests().one("ConfigMap", "proxy")["data"]["haproxy.cfg"]
    for printed, here in (
        ("parse-resolv-conf", f"nameserver dns 127.0.0.1:{dns_port}"),
        ("bind *:8080", f"bind 127.0.0.1:{proxy_port}"),
        (":8000 ", f":{port} "),
    ):
        assert printed in configuration
        configuration = configuration.replace(printed, here)
    dnsmasq = ["--keep-in-foreground", "--no-resolv", "--no-hosts", f"--hostsdir={names}", "--pid-file="]
    dnsmasq += ["--listen-address=127.0.0.1", "--bind-interfaces", f"--port={dns_port}", "--log-facility=-"]
    dnsmasq += ["--local=/cluster.local/", "--user="]
    with ExitStack() as opened:
        registry = opened.enter_context(running_gateway(tmp_path / "registry", **shared))
        with registry.client() as client:
            upload_all(client, dict.fromkeys(MODELS, models.linear(seed=1)))
        for address in ADDRESSES:
            places = {"host": address, "port": str(port), "role": "gateway"}
            gateway = opened.enter_context(started_gateway(tmp_path / address, **shared, **places))
            wait_until_ready(replace(gateway, url=f"http://{address}:{port}"))
        opened.enter_context(running([str(find_program("dnsmasq")), *dnsmasq], tmp_path / "dns.log"))
        environment = {"POD_NAMESPACE": "models"}
        proxy = running_haproxy(configuration, tmp_path, port=proxy_port, environment=environment)
        yield Cluster(proxy=opened.enter_context(proxy), names=names)


def test_a_gateway_that_comes_takes_its_share_and_gives_it_back_when_it_goes(cluster: Cluster) -> None:
    with httpx.Client(base_url=cluster.proxy.url, timeout=60, trust_env=False) as client:

        def is_up(model: str, *gateways: str) -> bool:
            status, place = cluster.ask(client, model)
            return status == 200 and place in gateways

        assert client.post(f"/v1/models/{MODELS[0]}/predict", json=ROW).status_code == 503  # nobody is there

        cluster.tell(1)
        wait_until(lambda: is_up(MODELS[0], "sardonyx-gateway-1"))
        assert set(cluster.places(client).values()) == {"sardonyx-gateway-1"}

        cluster.tell(0, 1)
        wait_until(lambda: any(is_up(model, "sardonyx-gateway-0") for model in MODELS))
        shared = cluster.places(client)
        assert set(shared.values()) == {"sardonyx-gateway-0", "sardonyx-gateway-1"}

        cluster.tell(1)
        wait_until(lambda: set(cluster.places(client).values()) == {"sardonyx-gateway-1"})
        cluster.tell(0, 1)
        wait_until(lambda: cluster.places(client) == shared)
