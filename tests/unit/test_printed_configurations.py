"""What is printed for proxies and Compose: read back, and held against gateways and the programs themselves."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types

from gateway.deployment.compose import print_compose
from gateway.deployment.deployed import Deployment, Server
from gateway.deployment.envoy import print_envoy
from gateway.deployment.haproxy import hard_stop_seconds, print_haproxy
from gateway.placement.keys import key_of_path
from gateway.settings import Settings
from tests.support.proxies import find_program, needs_haproxy
from tests.unit.test_placement_keys import (
    PATHS_OF_A_VERSION,
    PATHS_OF_AN_ALIAS,
    PATHS_OF_WHAT_IS_PROMOTED,
    PATHS_WITHOUT_A_KEY,
)

GATEWAYS = tuple(
    Server(id=number, name=f"gateway{number}", host=f"10.0.0.{number}", port=8000, grpc_port=8001)
    for number in (1, 2, 7)
)
REGISTRIES = tuple(Server(id=number, name=f"registry{number}", host=f"10.0.1.{number}") for number in (1, 2))
ALL = Deployment(gateways=GATEWAYS)
REPLAYS = Deployment(gateways=GATEWAYS, replays=True)
ROLES = Deployment(gateways=GATEWAYS, registries=REGISTRIES, grpc_port=8081, replays=True)
NAMES = Deployment(gateways=GATEWAYS, registries=REGISTRIES, grpc_port=8081, dns=True, host="127.0.0.1")
LOOKED_UP = "check resolvers cluster resolve-prefer ipv4 init-addr none"


def lines_of(text: str, beginning: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith(beginning)]


def check_with_haproxy(text: str, folder: Path) -> str:
    path = folder / "haproxy.cfg"
    path.write_text(text)
    program = str(find_program("haproxy"))
    done = subprocess.run([program, "-c", "-f", path], capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


@needs_haproxy
@pytest.mark.parametrize("deployment", [ALL, REPLAYS, ROLES, NAMES], ids=["all", "replays", "roles", "names"])
def test_haproxy_takes_what_is_printed_without_a_warning(deployment: Deployment, tmp_path: Path) -> None:
    assert check_with_haproxy(print_haproxy(deployment), tmp_path) == "Configuration file is valid\n"


def test_haproxy_sends_again_only_what_has_not_run() -> None:
    assert lines_of(print_haproxy(ALL), "retry-on") == ["retry-on conn-failure 425"]


def test_what_a_silent_gateway_is_asked_ends_only_where_all_of_it_may_be_sent_again() -> None:
    ending = "default-server fall 3 on-marked-down shutdown-sessions"
    printed = {name: lines_of(print_haproxy(each), ending) for name, each in (("all", REPLAYS), ("roles", ROLES))}
    assert printed == {"all": [], "roles": [ending]}  # roles have a backend for gRPC, too


def test_replays_are_for_those_who_ask_for_them() -> None:
    assert lines_of(print_haproxy(ROLES), "retry-on") == [
        "retry-on conn-failure empty-response 425",
        "retry-on conn-failure",
        "retry-on conn-failure",
    ]


def test_a_server_of_haproxy_keeps_its_place_on_the_ring() -> None:
    assert lines_of(print_haproxy(ALL), "server") == [
        "server gateway1 10.0.0.1:8000 id 1 weight 64 check",
        "server gateway2 10.0.0.2:8000 id 2 weight 64 check",
        "server gateway7 10.0.0.7:8000 id 7 weight 64 check",
    ]


def test_the_second_registry_of_haproxy_stands_by() -> None:
    assert lines_of(print_haproxy(ROLES), "server registry") == [
        "server registry1 10.0.1.1:8000 id 1 weight 64 check",
        "server registry2 10.0.1.2:8000 id 2 weight 64 check backup",
    ]


def test_a_dns_that_is_away_takes_no_server_of_haproxy_along() -> None:
    """Without a word on these three, HAProxy puts servers that are ready into maintenance after half a minute."""
    holds = dict(line.split()[1:] for line in lines_of(print_haproxy(NAMES), "hold "))

    assert holds == {"valid": "5s", "nx": "5s", "timeout": "1d", "refused": "1d", "other": "1d"}


def test_proxies_wait_longer_than_a_gateway_for_its_own_deadline() -> None:
    slow = Deployment(gateways=GATEWAYS, settings=Settings(predict_timeout_seconds=59.5))

    assert "timeout server 65s" in lines_of(print_haproxy(slow), "timeout server")
    assert seconds_by_envoy(slow, "/models/iris/predict") == seconds_by_envoy(slow, "/v2/models") == ("65s", None)
    assert hard_stop_seconds(slow) > 65


@pytest.mark.parametrize(
    "path", ["/registry/models/iris/versions", "/console/models/iris", "/v2/repository/models/iris/load"]
)
@pytest.mark.parametrize("deployment", [ALL, ROLES], ids=["all", "roles"])
def test_envoy_waits_for_an_inspection_as_long_as_it_may_take(deployment: Deployment, path: str) -> None:
    assert seconds_by_envoy(deployment, path) == ("300s", "300s")


def test_envoy_ends_no_stream_of_grpc_because_it_is_quiet() -> None:
    routes = [route["route"] for route in routes_of(ROLES, listener=1)]

    assert {(route["timeout"], route["idle_timeout"]) for route in routes} == {("0s", "0s")}


def test_haproxy_lets_a_stream_of_grpc_be_quiet_for_an_hour() -> None:
    text = print_haproxy(ROLES)

    assert lines_of(text, "timeout client") == ["timeout client 35s", "timeout client 3600s"]
    assert lines_of(text, "timeout server") == ["timeout server 35s", "timeout server 300s", "timeout server 3600s"]


@pytest.mark.parametrize("deployment", [ALL, ROLES], ids=["all", "roles"])
def test_a_proxy_that_ends_finishes_registrations(deployment: Deployment) -> None:
    assert hard_stop_seconds(deployment) == 310


@pytest.mark.parametrize(
    ("deployment", "path", "again"),
    [
        (ALL, "/models/iris/predict", set()),
        (REPLAYS, "/models/iris/predict", {"reset"}),
        (REPLAYS, "/v2/models/iris/infer", {"reset"}),
        (REPLAYS, "/registry/models/iris/aliases/production/rollback", set()),
        (REPLAYS, "/%72egistry/models/iris/aliases/production/rollback", set()),
        (REPLAYS, "/v2/repository/models/iris/load", set()),
        (ROLES, "/v2/repository/models/iris/load", set()),
        (ROLES, "/registry/models/iris/aliases/production/rollback", set()),
    ],
)
def test_envoy_sends_only_predictions_again_after_a_reset(deployment: Deployment, path: str, again: set[str]) -> None:
    reasons = route_by_envoy(deployment, path)["retry_policy"]["retry_on"]

    assert set(reasons.split(",")) & {"reset"} == again


def test_envoy_sends_only_predictions_over_grpc_again_after_a_reset() -> None:
    routes = routes_of(ROLES, listener=1)

    assert [
        route["match"].get("path") for route in routes if "reset" in route["route"]["retry_policy"]["retry_on"]
    ] == ["/inference.GRPCInferenceService/ModelInfer"]


def test_envoy_takes_nobody_for_one_of_its_own() -> None:
    listeners = json.loads(print_envoy(ROLES))["static_resources"]["listeners"]
    managers = [listener["filter_chains"][0]["filters"][0]["typed_config"] for listener in listeners]

    nobody = {"cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]}
    assert [manager["internal_address_config"] for manager in managers] == [nobody] * 2


def route_by_envoy(deployment: Deployment, path: str) -> dict[str, Any]:
    """Return what the first route that matches does."""
    for route in routes_of(deployment):
        match = route["match"]
        if re.fullmatch(match["safe_regex"]["regex"] if "safe_regex" in match else ".*", path):
            action: dict[str, Any] = route["route"]
            return action
    raise AssertionError(path)


def seconds_by_envoy(deployment: Deployment, path: str) -> tuple[str, str | None]:
    action = route_by_envoy(deployment, path)
    return action["timeout"], action.get("idle_timeout")


def routes_of(deployment: Deployment, listener: int = 0) -> list[dict[str, Any]]:
    printed = json.loads(print_envoy(deployment))["static_resources"]["listeners"][listener]
    manager = printed["filter_chains"][0]["filters"][0]["typed_config"]
    routes: list[dict[str, Any]] = manager["route_config"]["virtual_hosts"][0]["routes"]
    return routes


def key_by_envoy(path: str, query: str) -> str | None:
    """Return what the first route that matches hashes, as Envoy does it: the match has no query, the header has."""
    for route in routes_of(ALL):
        if "safe_regex" in route["match"] and re.fullmatch(route["match"]["safe_regex"]["regex"], path):
            if not route["route"]["hash_policy"]:
                return None
            rewrite = route["route"]["hash_policy"][0]["header"]["regex_rewrite"]
            return re.sub(rewrite["pattern"]["regex"], rewrite["substitution"], path + query)
    return None


@pytest.mark.parametrize("query", ["", "?a=/b"])
@pytest.mark.parametrize(
    "path", [*PATHS_OF_A_VERSION, *PATHS_OF_AN_ALIAS, *PATHS_OF_WHAT_IS_PROMOTED, *PATHS_WITHOUT_A_KEY]
)
def test_envoy_hashes_the_key_that_we_know(path: str, query: str) -> None:
    assert key_by_envoy(path, query) == key_of_path(path)


def test_every_port_of_compose_is_one_that_somebody_listens_at() -> None:
    file = yaml.safe_load(print_compose(ROLES, image="sardonyx:1"))

    services, proxy = file["services"], file["configs"]["haproxy"]["content"].replace("$$", "$")
    assert sorted(services) == [
        "gateway1",
        "gateway2",
        "gateway7",
        "migrate",
        "postgres",
        "proxy",
        "registry",
        "s3",
    ]
    assert services["proxy"]["ports"] == ["127.0.0.1:8080:8080", "127.0.0.1:8081:8081"]
    assert [services[name]["environment"]["SARDONYX_ROLE"] for name in ("gateway1", "registry")] == [
        "gateway",
        "registry",
    ]
    serving = {name: service for name, service in services.items() if "SARDONYX_ROLE" in service.get("environment", {})}
    ids = {name: service["environment"].get("SARDONYX_RING_ID") for name, service in serving.items()}
    assert ids == {"gateway1": "1", "gateway2": "2", "gateway7": "7", "registry": None}
    assert lines_of(proxy, "server gateway1") == [
        f"server gateway1 gateway1:8000 id 1 weight 64 {LOOKED_UP}",
        f"server gateway1 gateway1:8001 id 1 weight 64 {LOOKED_UP} proto h2 check-proto h1 port 8000",
    ]


@needs_haproxy
def test_haproxy_takes_what_is_inside_the_file_of_compose(tmp_path: Path) -> None:
    content = yaml.safe_load(print_compose(ROLES))["configs"]["haproxy"]["content"].replace("$$", "$")

    assert check_with_haproxy(content, tmp_path) == "Configuration file is valid\n"


def test_compose_gives_a_gateway_the_time_to_drain() -> None:
    services = yaml.safe_load(print_compose(ALL))["services"]

    drain = int(services["gateway1"]["environment"]["SARDONYX_DRAIN_SECONDS"])
    assert int(services["gateway1"]["stop_grace_period"].removesuffix("s")) >= drain + 35
