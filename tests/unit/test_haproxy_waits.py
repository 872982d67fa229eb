"""HAProxy, as it is printed but for shorter times, in front of servers that are slow, or end without an answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gateway.deployment.deployed import Deployment, Server
from gateway.deployment.haproxy import print_haproxy
from tests.support.gateway_process import fixed_port
from tests.support.proxies import needs_haproxy, running_haproxy
from tests.support.slow_servers import SlowServers, running_slow_servers

pytestmark = needs_haproxy

SHORT, LONG = "1s", "30s"  # servers take a time between these
OF_CLIENTS = "4s"  # less than servers take, and longer than this process, which clients are in, may stand still
NOTICED = "10s"  # longer than it takes to find out that a server says nothing


@pytest.fixture
def servers() -> Iterator[SlowServers]:
    with running_slow_servers() as servers:
        yield servers


@contextmanager
def proxied(
    servers: SlowServers, folder: Path, *, replays: bool = False, limit: str = SHORT, has_roles: bool = False
) -> Iterator[httpx.Client]:
    registries = (Server(id=1, name="registry1", host="127.0.0.1", port=fixed_port()),) if has_roles else ()
    deployment = Deployment(
        gateways=servers.gateways, registries=registries, host="127.0.0.1", port=fixed_port(), replays=replays
    )
    text = print_haproxy(deployment)
    for printed, here in (
        ("timeout client 35s", OF_CLIENTS),
        ("timeout server 35s", limit),
        ("set-timeout server 300s", LONG),
    ):
        assert printed in text
        text = text.replace(printed, f"{printed.rsplit(maxsplit=1)[0]} {here}")
    with (
        running_haproxy(text, folder, port=deployment.port) as proxy,
        httpx.Client(base_url=proxy.url, timeout=60, trust_env=False) as client,
    ):
        yield client


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/models/iris/predict", 504),
        ("/registry/models/iris/versions", 200),
        ("/console/models/iris/promote", 200),
        ("/v2/repository/models/iris/load", 200),
    ],
)
def test_only_what_may_change_something_is_waited_for_longer(
    servers: SlowServers, tmp_path: Path, path: str, status: int
) -> None:
    with proxied(servers, tmp_path) as client:
        assert client.post(path, content=b"{}").status_code == status


@pytest.mark.parametrize(
    ("path", "times"),
    [
        ("/models/iris/predict?end", 4),
        ("/registry/models/iris/aliases/production/rollback?end", 1),
        ("/%72egistry/models/iris/aliases/production/rollback?end", 1),
        ("/v2/repository/models/iris/load?end", 1),
    ],
)
def test_only_predictions_are_sent_again_after_an_end_without_an_answer(
    servers: SlowServers, tmp_path: Path, path: str, times: int
) -> None:
    with proxied(servers, tmp_path, replays=True, limit=NOTICED) as client:
        client.post(path, content=b"{}")

    assert servers.taken == [path] * times


@pytest.mark.parametrize(("status", "times"), [(200, 2), (504, 1)], ids=["replays", "no replays"])
def test_what_is_asked_of_a_gateway_that_goes_silent_ends_where_another_one_is_asked_then(
    servers: SlowServers, tmp_path: Path, status: int, times: int
) -> None:
    path = "/models/iris/predict?hush"
    with proxied(servers, tmp_path, replays=times > 1, limit=NOTICED, has_roles=True) as client:
        assert client.post(path, content=b"{}").status_code == status

    assert servers.taken == [path] * times
