"""Promoting and rolling back over REST: who is live, who was, and who lost the race."""

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from registry.crashes import Crashes
from registry.sql.unit_of_work import SqlRegistry
from tests.support import models
from tests.support.backend import embedded_only
from tests.support.cold import running_registry
from tests.support.gateway_process import SARDONYX, GatewayProcess, children_of, running_gateway, wait_until
from tests.support.inspecting import inspectors
from tests.support.problems import assert_problem
from tests.support.registries import HandClock
from tests.support.running import run
from tests.support.settled import wait_until_settled
from tests.support.uploads import upload

WITHHELD = "Nothing in the request has to change. The operator finds the cause in the log by this request id."


def truncate(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-8])


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        yield opened


def register(client: httpx.Client, name: str, *, count: int = 3) -> None:
    for seed in range(count):
        upload(client, name, models.linear(seed=seed))


def put(client: httpx.Client, name: str, version: int, **more: Any) -> httpx.Response:
    return client.put(f"/registry/models/{name}/aliases/production", json={"version": version, **more})


def roll_back(client: httpx.Client, name: str, **body: Any) -> httpx.Response:
    return client.post(f"/registry/models/{name}/aliases/production/rollback", json=body)


def live(client: httpx.Client, name: str) -> int:
    answer = client.post(f"/models/{name}/predict", json={"inputs": [[1, 2, 3, 4]]})
    assert (answer.status_code, answer.headers["x-model-version"]) == (200, str(answer.json()["version"]))
    return int(answer.json()["version"])


def state_of(client: httpx.Client, name: str) -> tuple[Any, Any, Any]:
    """What the registry says of a model, how it got there, and what is noted of that."""
    history = client.get(f"/registry/models/{name}/history").json()["items"]
    return client.get(f"/registry/models/{name}").json(), history, events_of(client, name)


def moves(client: httpx.Client, name: str) -> list[tuple[str, int | None, int]]:
    items = client.get(f"/registry/models/{name}/history").json()["items"]
    return [(item["kind"], item["from"], item["to"]) for item in items]


def test_each_move_is_live_at_once_and_rollbacks_go_one_further_back_each_time(client: httpx.Client) -> None:
    register(client, "walk")
    for version in (1, 2, 3):
        assert put(client, "walk", version).json()["version"] == version
        assert live(client, "walk") == version
    assert roll_back(client, "walk", reason="worse").json()["move"]["reason"] == "worse"
    assert live(client, "walk") == 2
    assert (roll_back(client, "walk").status_code, live(client, "walk")) == (200, 1)
    before = state_of(client, "walk")
    nothing_left = "model 'walk': alias 'production' has no promotion left to roll back"
    assert_problem(roll_back(client, "walk"), 409, code="no_previous_version", detail=nothing_left)
    assert (live(client, "walk"), state_of(client, "walk")) == (1, before)
    promoted = [("promote", None, 1), ("promote", 1, 2), ("promote", 2, 3)]
    assert moves(client, "walk") == [*promoted, ("rollback", 3, 2), ("rollback", 2, 1)]


def test_a_storm_of_moves_is_always_answered_by_the_newest(client: httpx.Client) -> None:
    register(client, "storm", count=2)
    for number in range(60):
        put(client, "storm", number % 2 + 1)
        assert live(client, "storm") == number % 2 + 1


def test_a_rollback_may_name_the_version_or_the_moment(client: httpx.Client) -> None:
    register(client, "named")
    put(client, "named", 1)
    moment = put(client, "named", 2).json()["updated_at"]
    put(client, "named", 3)
    assert roll_back(client, "named", to=1).json()["version"] == 1
    assert roll_back(client, "named", to_time=moment).json()["version"] == 2
    then = client.get("/registry/models/named/aliases/production", params={"at": moment})
    assert (then.status_code, then.json()["version"]) == (200, 2)


def test_of_many_promotions_from_one_state_exactly_one_wins(client: httpx.Client) -> None:
    register(client, "race")
    put(client, "race", 1)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: put(client, "race", n % 2 + 2, expected=1), range(16)))
    losers = [answer for answer in answers if answer.status_code != 200]
    now = live(client, "race")
    assert len(losers) == 15
    for answer in losers:
        detail = f"alias 'production' of model 'race' points to version {now} now, not to version 1"
        assert_problem(answer, 409, code="generation_conflict", detail=detail)
    assert moves(client, "race") == [("promote", None, 1), ("promote", 1, now)]
    noted = [(event["kind"], event["version"]) for event in events_of(client, "race")]
    registered = [("version_registered", number) for number in (1, 2, 3)]
    assert noted == [*registered, ("alias_moved", 1), ("alias_moved", now)]


def test_what_is_so_already_is_no_move(client: httpx.Client) -> None:
    register(client, "still", count=1)
    first = put(client, "still", 1, expected=None).json()
    again = put(client, "still", 1).json()
    assert (again["move"], again["generation"]) == (None, first["generation"])
    assert len(moves(client, "still")) == 1
    kinds = [event["kind"] for event in events_of(client, "still")]
    assert kinds == ["version_registered", "alias_moved"]


def events_of(client: httpx.Client, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = client.get("/registry/events", params={"after": after, "limit": 50}).json()
        found += page["items"]
        after = page["next"]
    assert [event["sequence"] for event in found] == sorted({event["sequence"] for event in found})
    return [event for event in found if event["model"] == name]


def test_a_promotion_that_breaks_callers_is_refused_with_the_differences(client: httpx.Client) -> None:
    register(client, "breaking", count=1)
    upload(client, "breaking", models.linear(features=5))
    put(client, "breaking", 1)
    refused = put(client, "breaking", 2)
    difference = {"path": "inputs/x/shape", "before": "[batch, 4]", "after": "[batch, 5]"}
    assert_problem(refused, 409, code="breaking_signature", detail=refused.json()["detail"], differences=[difference])
    assert live(client, "breaking") == 1
    dry = client.put(
        "/registry/models/breaking/aliases/production",
        params={"dry_run": "true"},
        json={"version": 2, "allow_breaking": True},
    )
    assert (dry.status_code, dry.json()["differences"], live(client, "breaking")) == (200, [difference], 1)
    assert (dry.json()["compatibility"], dry.json()["changes"]) == ("breaking", [])
    assert put(client, "breaking", 2, allow_breaking=True).status_code == 200


def quarantine(gateway: GatewayProcess, name: str, number: int) -> None:
    """Have a version taken for one that ends every process, as a gateway writes it down that has seen this."""
    embedded = f"sqlite:///{gateway.data_dir}/registry.sqlite3"
    with closing(SqlRegistry.open(gateway.environment.get("SARDONYX_DATABASE_URL", embedded))) as registry:
        Crashes(registry, HandClock()).quarantine(name, number, reason="it ends every process", actor="tests")


UNFIT: dict[str, tuple[int, int, str, str]] = {
    "unknown": (9, 404, "version_not_found", "model 'unknown' has no version 9"),
    "deleted": (3, 409, "version_not_promotable", "version 3 of model 'deleted' is retired"),
    "quarantined": (
        2,
        409,
        "version_not_promotable",
        "version 2 of model 'quarantined' is in quarantine: choose another one, or clear it first",
    ),
}


@pytest.mark.parametrize("name", UNFIT)
def test_what_cannot_serve_is_not_promoted(gateway: GatewayProcess, client: httpx.Client, name: str) -> None:
    version, status, code, detail = UNFIT[name]
    register(client, name)
    put(client, name, 1)
    client.delete(f"/registry/models/{name}/versions/3").raise_for_status()
    quarantine(gateway, name, 2)
    before = state_of(client, name)
    assert_problem(put(client, name, version), status, code=code, detail=detail)
    beside = put(client, name, 1, canary={"version": version, "percent": 5})
    assert_problem(beside, status, code=code, detail=detail)
    assert (live(client, name), state_of(client, name)) == (1, before)


def test_nothing_of_a_model_that_is_not_there_is_moved(client: httpx.Client) -> None:
    for answer in (put(client, "nobody", 1), roll_back(client, "nobody")):
        assert_problem(answer, 404, code="model_not_found", detail="there is no model 'nobody'")
    assert_problem(
        client.get("/registry/models/nobody"), 404, code="model_not_found", detail="there is no model 'nobody'"
    )


def test_what_is_live_is_not_retired(client: httpx.Client) -> None:
    register(client, "active", count=1)
    put(client, "active", 1)
    before = state_of(client, "active")
    answer = client.delete("/registry/models/active/versions/1")
    detail = "version 1 of model 'active' is in use by production: move that first"
    assert_problem(answer, 409, code="version_active", detail=detail)
    assert (live(client, "active"), state_of(client, "active")) == (1, before)


@embedded_only
@pytest.mark.parametrize(
    ("damage", "status", "code", "detail"),
    [
        (Path.unlink, 503, "artifact_missing", WITHHELD),
        (truncate, 503, "artifact_corrupt", WITHHELD),
    ],
    ids=["lost", "damaged"],
)
def test_a_version_that_does_not_load_moves_nothing_and_the_old_one_serves(
    tmp_path: Path, damage: Callable[[Path], None], status: int, code: str, detail: str
) -> None:
    with running_registry(tmp_path / "data") as registry, registry.client() as client:
        register(client, "old", count=2)
    with running_gateway(tmp_path / "data") as gateway, gateway.client() as client:
        put(client, "old", 1)
        assert live(client, "old") == 1
        digest = client.get("/registry/models/old/versions/2").json()["digest"].removeprefix("sha256:")
        (path,) = (gateway.data_dir / "store").rglob(digest)
        damage(path)
        before = state_of(client, "old")
        assert_problem(put(client, "old", 2), status, code=code, detail=detail)
        for more in ((), ("--wait",), ("--url", gateway.url)):
            done = run(SARDONYX, "promote", "old", "2", *more, environment=gateway.environment)
            assert (done.returncode, code in done.stderr) == (1, True), done.stderr
        assert (live(client, "old"), state_of(client, "old")) == (1, before)


def test_a_canary_gets_its_share_and_a_routing_key_stays_on_its_side(client: httpx.Client) -> None:
    register(client, "birds", count=2)
    put(client, "birds", 1, canary={"version": 2, "percent": 50})

    def version_for(key: str) -> int:
        answer = client.post("/models/birds/predict", json={"inputs": [[1, 2, 3, 4]]}, headers={"x-routing-key": key})
        return int(answer.json()["version"])

    first = {str(key): version_for(str(key)) for key in range(64)}
    assert set(first.values()) == {1, 2}
    assert {key: version_for(key) for key in first} == first
    put(client, "birds", 1, canary=None)
    assert {version_for(key) for key in first} == {1}


def test_a_gateway_killed_in_a_storm_of_moves_comes_back_consistent(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data") as gateway, gateway.client() as client:
        register(client, "killed", count=5)  # so that moves which overtake each other still go elsewhere

        def move(number: int) -> None:
            try:
                put(client, "killed", number % 5 + 1)
            except httpx.TransportError:
                return

        with ThreadPoolExecutor(4) as pool:
            moving = [pool.submit(move, number) for number in range(200)]
            moving[40].result()
            for worker in children_of(gateway.process.pid, "gateway.worker"):
                os.kill(worker, signal.SIGKILL)
            gateway.process.kill()
    with running_gateway(tmp_path / "data") as again, again.client() as client:
        history = moves(client, "killed")
        assert len(history) >= 20
        assert live(client, "killed") == history[-1][2]
        assert all(before[2] == after[1] for before, after in itertools.pairwise(history))
        assert len(events_of(client, "killed")) == 5 + len(history)


def test_a_crowd_of_promotions_keeps_nobody_else_waiting(client: httpx.Client, gateway: GatewayProcess) -> None:
    names = [f"crowd-{number}" for number in range(32)]
    for number, name in enumerate(names):  # each with bytes of its own, which no move has been rehearsed with yet
        upload(client, name, models.linear(seed=1000 + number))
    wait_until_settled(gateway, *names)

    begun: list[str] = []

    def promote(name: str) -> int:
        with gateway.client() as own:
            begun.append(name)
            return put(own, name, 1).status_code

    with ThreadPoolExecutor(len(names)) as pool:
        promotions = [pool.submit(promote, name) for name in names]
        with all_rehearsals_standing_still(gateway):
            wait_until(lambda: len(begun) == len(names))
            assert client.get("/registry/models/crowd-0").status_code == 200
        assert {promotion.result() for promotion in promotions} == {200}


@contextmanager
def all_rehearsals_standing_still(gateway: GatewayProcess) -> Iterator[None]:
    """Stop rehearsals until there are as many as there may be, and nobody else can begin one."""
    standing: set[int] = set()

    def are_two() -> bool:
        for pid in inspectors(gateway.data_dir):
            with suppress(ProcessLookupError):  # it was quicker
                os.kill(pid, signal.SIGSTOP)
                standing.add(pid)
        return len(standing & inspectors(gateway.data_dir)) == 2

    try:
        wait_until(are_two)
        yield
    finally:
        for pid in standing:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
