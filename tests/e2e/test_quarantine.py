"""Versions that run apart or not at all: how they are listed, cleared and asked for over REST, and by whom."""

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from registry.crashes import Crashes
from registry.standing import Death, Isolation, Stage
from tests.support import models
from tests.support.gateway_process import GatewayProcess, running_gateway
from tests.support.problems import assert_problem
from tests.support.registries import HandClock
from tests.support.tokens import bearer, make_token, open_registry
from tests.support.uploads import OCTETS, send

CRASH = Death(where=Isolation.ISOLATED, stage=Stage.RUN, cause="SIGFPE", is_certain=True, host="here")
REASON = "SIGFPE ended its child during a run"


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        yield opened


def register(client: httpx.Client, name: str, *, seed: int = 0, **query: str) -> httpx.Response:
    return send(client, name, models.linear(seed=seed), **query)


def kill(data_dir: Path, name: str, number: int = 1, *, times: int = 2) -> None:
    """Have the registry believe that a version has ended so many children."""
    with closing(open_registry(data_dir)) as registry:
        for _ in range(times):
            Crashes(registry, HandClock()).record_death(name, number, death=CRASH, actor="worker")


def quarantine(data_dir: Path, name: str, number: int = 1) -> None:
    with closing(open_registry(data_dir)) as registry:
        Crashes(registry, HandClock()).quarantine(name, number, reason="it ends every child", actor="worker")


def listed(client: httpx.Client, name: str) -> list[Any]:
    answer = client.get("/registry/quarantine", params={"limit": 1000})
    assert (answer.status_code, answer.json()["next"]) == (200, None)
    return [item for item in answer.json()["items"] if item["model"] == name]


def kinds(client: httpx.Client, name: str) -> list[tuple[str, str]]:
    items = client.get("/registry/events", params={"limit": 1000}).json()["items"]
    return [(item["kind"], item["actor"]) for item in items if item["model"] == name]


def test_a_version_that_kills_is_listed_until_it_is_cleared(client: httpx.Client, gateway: GatewayProcess) -> None:
    clean = register(client, "killer").json()
    assert listed(client, "killer") == []
    kill(gateway.data_dir, "killer")
    held = {"isolation": "isolated", "isolation_reason": REASON, "deaths": 2}
    assert client.get("/registry/models/killer/versions/1").json() == clean | held
    assert listed(client, "killer") == [
        {
            "model": "killer",
            "version": 1,
            "isolation": "isolated",
            "deaths": 2,
            "requested": False,
            "on_probation": False,
            "reason": REASON,
        }
    ]

    for _ in range(2):
        cleared = client.delete("/registry/quarantine/killer/1")
        assert (cleared.status_code, cleared.json()) == (200, clean)
    assert listed(client, "killer") == []
    assert kinds(client, "killer") == [
        ("version_registered", "anonymous"),
        ("version_crashed", "worker"),
        ("version_isolated", "worker"),
        ("version_crashed", "worker"),
        ("version_cleared", "anonymous"),
    ]
    predicted = client.post("/v1/models/killer/predict", json={"inputs": [[1, 2, 3, 4]]})
    assert predicted.status_code == 200


def test_the_list_comes_in_pages(client: httpx.Client) -> None:
    for seed in range(5):
        assert register(client, "paged", seed=seed, isolation="isolated").status_code == 201
    pages = [client.get("/registry/quarantine", params={"limit": 2, "after": "paged:1"}).json()]
    while pages[-1]["next"] is not None and pages[-1]["next"].startswith("paged:"):
        pages.append(client.get("/registry/quarantine", params={"limit": 2, "after": pages[-1]["next"]}).json())
    assert [item["version"] for page in pages for item in page["items"] if item["model"] == "paged"] == [2, 3, 4, 5]
    refused = client.get("/registry/quarantine", params={"after": "paged"})
    detail = "'paged' is no cursor of this list: send 'next' of the page before"
    assert_problem(refused, 422, code="invalid_request", detail=detail)


def test_nothing_goes_live_out_of_quarantine(client: httpx.Client, gateway: GatewayProcess) -> None:
    for seed in (1, 2):
        register(client, "barred", seed=seed)
    alias = "/registry/models/barred/aliases/production"
    for version in (2, 1):
        client.put(alias, json={"version": version}).raise_for_status()
    quarantine(gateway.data_dir, "barred", 2)
    before = client.get(alias).json()
    detail = "version 2 of model 'barred' is in quarantine: choose another one, or clear it first"
    for answer in (
        client.put(alias, json={"version": 2}),
        client.put(alias, json={"version": 1, "canary": {"version": 2, "percent": 5}}),
        client.put(alias, json={"version": 1, "shadow": {"version": 2, "percent": 5}}),
        client.post(f"{alias}/rollback", json={"to": 2}),
        client.post(f"{alias}/rollback", json={}),
    ):
        assert_problem(answer, 409, code="version_not_promotable", detail=detail)
    assert client.get(alias).json() == before
    assert client.post("/models/barred/predict", json={"inputs": [[1, 2, 3, 4]]}).json()["version"] == 1

    client.delete("/registry/quarantine/barred/2").raise_for_status()
    assert client.put(alias, json={"version": 2}).json()["version"] == 2


@pytest.mark.parametrize("is_named", [False, True], ids=["as a file", "by its digest"])
def test_a_publisher_has_a_version_run_apart_and_takes_it_back(client: httpx.Client, *, is_named: bool) -> None:
    name = f"careful-{is_named}".lower()
    content = models.linear().SerializeToString()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    path = f"/registry/models/{name}/versions"
    if is_named:
        client.put(f"/registry/blobs/{digest}", content=content, headers=OCTETS).raise_for_status()
        answer = client.post(path, json={"files": {"model.onnx": digest}, "isolation": "isolated"})
    else:
        answer = register(client, name, isolation="isolated")
    version = answer.json()
    assert (answer.status_code, version["isolation"], version["deaths"]) == (201, "isolated", 0)
    assert [(item["requested"], item["reason"]) for item in listed(client, name)] == [(True, "")]

    back = client.patch(f"{path}/1", json={"isolation": "in_process"})
    assert (back.status_code, back.json()) == (200, version | {"isolation": "in_process"})
    again = (
        client.post(path, json={"files": {"model.onnx": digest}, "isolation": "isolated"})
        if is_named
        else register(client, name, isolation="isolated")
    )
    assert (again.status_code, again.json()) == (200, version)
    assert register(client, name).json() == version, "who does not ask for it takes nothing back"


def test_a_publisher_does_not_take_back_what_deaths_have_brought_about(
    client: httpx.Client, gateway: GatewayProcess
) -> None:
    register(client, "stubborn", isolation="isolated")
    kill(gateway.data_dir, "stubborn")
    answer = client.patch("/registry/models/stubborn/versions/1", json={"isolation": "in_process"})
    assert (answer.status_code, answer.json()["isolation"], answer.json()["deaths"]) == (200, "isolated", 2)
    cleared = client.delete("/registry/quarantine/stubborn/1").json()
    assert (cleared["isolation"], cleared["deaths"]) == ("in_process", 0), "nobody asks for it any more"


@pytest.mark.parametrize("isolation", ["quarantined", "", "ISOLATED"])
def test_only_a_child_or_none_can_be_asked_for(client: httpx.Client, isolation: str) -> None:
    register(client, "asked")
    refusals = [
        register(client, "refused", isolation=isolation),
        client.post("/registry/models/refused/versions", json={"files": {"a": "b"}, "isolation": isolation}),
        client.patch("/registry/models/asked/versions/1", json={"isolation": isolation}),
    ]
    assert [(answer.status_code, answer.json()["violations"][0]["path"]) for answer in refusals] == [
        (422, "/isolation")
    ] * 3
    assert client.get("/registry/models/refused").status_code == 404


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("nobody/1", 404, "model_not_found"),
        ("gone/9", 404, "version_not_found"),
        ("gone/x", 404, "version_not_found"),
        ("gone/1", 410, "version_retired"),
        ("Not%20A%20Name/1", 422, "invalid_name"),
    ],
)
def test_what_is_not_there_is_not_cleared(client: httpx.Client, path: str, status: int, code: str) -> None:
    register(client, "gone")
    client.delete("/registry/models/gone/versions/1")
    answer = client.delete(f"/registry/quarantine/{path}")
    assert_problem(answer, status, code=code, detail=answer.json()["detail"])


def test_a_token_for_some_models_sees_those_only_and_clears_none(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with running_gateway(folder, auth="on") as gateway:
        with gateway.client(headers=bearer(make_token(folder, "publish").text)) as client:
            for name in ("mine-a", "mine-b", "others"):
                assert register(client, name, isolation="isolated").status_code == 201
        with gateway.client(headers=bearer(make_token(folder, "publish", models="mine-*").text)) as client:
            page = client.get("/registry/quarantine", params={"limit": 1}).json()
            rest = client.get("/registry/quarantine", params={"limit": 2, "after": page["next"]}).json()
            refused = client.delete("/registry/quarantine/mine-a/1")
    seen = [item["model"] for item in (*page["items"], *rest["items"])]
    assert (seen, rest["next"]) == (["mine-a", "mine-b"], None)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
