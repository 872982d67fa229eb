"""The real HAProxy, as the manifests for Kubernetes start it, but for the cluster around it."""

import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.deployment.haproxy import LIVE
from tests.support.gateway_process import free_port, wait_until
from tests.support.manifests import Manifests, cluster, manifests
from tests.support.proxies import find_program, needs_haproxy

pytestmark = needs_haproxy

PRINTED = manifests()


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
    done = subprocess.run(
        checked, env={"POD_NAMESPACE": "models"}, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout.strip()) == (0, "Configuration file is valid"), done.stderr
    assert "WARNING" not in done.stderr


class Proxy:
    """HAProxy on a port of its own, in the namespace ``models``; its names lead nowhere."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._socket = folder / "s"
        path = folder / "haproxy.cfg"
        text = configuration(PRINTED).replace("bind *:8080", f"bind 127.0.0.1:{self.port}")
        path.write_text(text, encoding="utf-8")
        master = ["-W", "-S", str(self._socket)]
        self._process = subprocess.Popen(
            [*command(PRINTED, path), *master], env={"POD_NAMESPACE": "models"}, stdout=subprocess.DEVNULL
        )

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)

    def status(self, path: str) -> int | None:
        """Return the status of an answer; None while nobody listens."""
        with suppress(OSError):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                return error.code
        return None

    def say(self, words: str) -> str:
        """Return what the process answers that serves; nothing while its master does not listen."""
        with socket.socket(socket.AF_UNIX) as connection, suppress(ConnectionError, FileNotFoundError):
            connection.connect(str(self._socket))
            connection.sendall(f"@1 {words}\n".encode())
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        return ""


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("p")
    started = Proxy(folder)
    try:
        wait_until(lambda: started.status(LIVE) == 200 and "Maxconn:" in started.say("show info"))
        yield started
    finally:
        started.close()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_proxy_lives_while_no_gateway_is_there(proxy: Proxy) -> None:
    probe = PRINTED.container("proxy")["livenessProbe"]["httpGet"]["path"]
    assert (proxy.status(probe), proxy.status("/v2/health/ready")) == (200, 503)


def test_it_asks_for_gateways_by_their_names_in_its_own_namespace(proxy: Proxy) -> None:
    rows = [line.split() for line in proxy.say("show servers state gateways").splitlines()]
    names = {name: number for number, name in enumerate(rows[1][1:])}  # behind a "#"
    servers = [(row[names["srv_id"]], row[names["srv_name"]], row[names["srv_fqdn"]]) for row in rows[2:] if row]
    domain = "sardonyx-gateway.models.svc.cluster.local"
    expected = PRINTED.one("HorizontalPodAutoscaler", "gateway")["spec"]["maxReplicas"]
    assert servers == [
        (str(ordinal + 1), f"sardonyx-gateway-{ordinal}", f"sardonyx-gateway-{ordinal}.{domain}")
        for ordinal in range(expected)
    ]


def test_it_takes_no_more_connections_than_its_memory_is_for(proxy: Proxy) -> None:
    (most,) = re.findall(r"^Maxconn: (\d+)$", proxy.say("show info"), re.MULTILINE)
    arguments = PRINTED.container("proxy")["command"]
    assert most == arguments[arguments.index("-n") + 1]
