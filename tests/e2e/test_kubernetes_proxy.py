"""The real HAProxy, as the manifests for Kubernetes start it, but for the cluster around it."""

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.gateway_process import fixed_port, wait_until
from tests.support.manifests import Manifests, cluster, manifests
from tests.support.proxies import Proxy, find_program, needs_haproxy, running_proxy, status_of

pytestmark = needs_haproxy

PRINTED = manifests()
CLUSTER = {"POD_NAMESPACE": "models"}
"""What the cluster tells the container."""


def configuration(of: Manifests) -> str:
    return str(of.one("ConfigMap", "proxy")["data"]["haproxy.cfg"])


def command(of: Manifests, path: Path) -> list[str]:
    """Return the container's command, with this file for its own."""
    name, *arguments, _ = of.container("proxy")["command"]
    return [str(find_program(name)), *arguments, str(path)]


@pytest.mark.parametrize("of", [PRINTED, manifests(cluster(grpc_port=8001))], ids=["http", "with-grpc"])
def test_haproxy_takes_the_configuration(of: Manifests, tmp_path: Path) -> None:
    path = tmp_path / "haproxy.cfg"
    path.write_text(configuration(of), encoding="utf-8")
    checked = [*command(of, path), "-c"]
    done = subprocess.run(checked, env=CLUSTER, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "Configuration file is valid"), done.stderr
    assert "WARNING" not in done.stderr


@dataclass(frozen=True, slots=True)
class Served:
    """HAProxy on a port of its own, in the namespace ``models``, where its names lead nowhere; and its master."""

    proxy: Proxy
    master: Path

    def status(self, path: str) -> int | None:
        """Return the status of an answer."""
        return status_of(self.proxy.url + path)

    def say(self, words: str) -> str:
        """Return what the process answers that serves; nothing while its master does not listen."""
        with socket.socket(socket.AF_UNIX) as connection, suppress(ConnectionError, FileNotFoundError):
            connection.connect(str(self.master))
            connection.sendall(f"@1 {words}\n".encode())
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        return ""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder, port = tmp_path_factory.mktemp("p"), fixed_port()
    path, master = folder / "haproxy.cfg", folder / "s"
    path.write_text(configuration(PRINTED).replace("bind *:8080", f"bind 127.0.0.1:{port}"), encoding="utf-8")
    started = [*command(PRINTED, path), "-W", "-S", str(master)]
    with running_proxy(folder / "log", *started, port=port, environment=CLUSTER) as proxy:
        served = Served(proxy, master)
        wait_until(lambda: "Maxconn:" in served.say("show info"))
        yield served


def test_a_proxy_lives_while_no_gateway_is_there(served: Served) -> None:
    probe = PRINTED.container("proxy")["livenessProbe"]["httpGet"]["path"]
    assert (served.status(probe), served.status("/v2/health/ready")) == (200, 503)


def test_it_asks_for_gateways_by_their_names_in_its_own_namespace(served: Served) -> None:
    rows = [line.split() for line in served.say("show servers state gateways").splitlines()]
    names = {name: number for number, name in enumerate(rows[1][1:])}  # behind a "#"
    servers = [(row[names["srv_id"]], row[names["srv_name"]], row[names["srv_fqdn"]]) for row in rows[2:] if row]
    domain = "sardonyx-gateway.models.svc.cluster.local"
    expected = PRINTED.one("HorizontalPodAutoscaler", "gateway")["spec"]["maxReplicas"]
    assert servers == [
        (str(ordinal + 1), f"sardonyx-gateway-{ordinal}", f"sardonyx-gateway-{ordinal}.{domain}")
        for ordinal in range(expected)
    ]


def test_it_takes_no_more_connections_than_its_memory_is_for(served: Served) -> None:
    (most,) = re.findall(r"^Maxconn: (\d+)$", served.say("show info"), re.MULTILINE)
    arguments = PRINTED.container("proxy")["command"]
    assert most == arguments[arguments.index("-n") + 1]
