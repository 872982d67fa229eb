"""Runs that take too long, too many of them, models that do not fit, files that are lost: and others go on."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.support import models
from tests.support.asking_again import ask_again
from tests.support.backend import embedded_only
from tests.support.cold import running_registry
from tests.support.endless import endless_suppression
from tests.support.gateway_process import GatewayProcess, running_gateway, wait_until, wait_until_ready
from tests.support.problems import assert_problem
from tests.support.scrapes import scrape
from tests.support.uploads import ensure_uploaded, upload

GOOD = {"inputs": [1.5]}


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway that waits for a second only, and lets two requests wait."""
    folder = tmp_path_factory.mktemp("strict") / "data"
    with running_gateway(folder, predict_timeout_seconds="1", max_queue="2", memory_budget="24MiB") as gateway:
        with gateway.client() as client:
            ensure_uploaded(client, "same", models.identity())
            have_loaded(client, "same", GOOD)
        yield gateway


@pytest.fixture
def client(strict: GatewayProcess) -> Iterator[httpx.Client]:
    with strict.client() as opened:
        yield opened


def predict(client: httpx.Client, name: str, body: object) -> httpx.Response:
    return client.post(f"/v1/models/{name}/predict", json=body)


def have_loaded(client: httpx.Client, name: str, body: object) -> None:
    """A request that waits for its model's load may miss the deadline; later ones do not wait for it."""
    answer = ask_again(lambda: predict(client, name, body), status=504, code="predict_timeout")
    assert answer.status_code == 200, answer.text


def assert_good_requests_work(client: httpx.Client) -> None:
    ensure_uploaded(client, "same", models.identity())
    answer = predict(client, "same", GOOD)
    assert (answer.status_code, answer.json()["outputs"]) == (200, {"y": [1.5]})


def test_an_endless_run_is_ended_at_its_deadline_while_others_are_answered(client: httpx.Client) -> None:
    assert_good_requests_work(client)
    upload(client, "endless", models.loop(is_asked=True))
    have_loaded(client, "endless", {"inputs": {"x": [1.5], "trips": 3}})
    with ThreadPoolExecutor(1) as pool:
        endless = pool.submit(predict, client, "endless", {"inputs": {"x": [1.5], "trips": 2**62}})
        while not endless.done():
            assert predict(client, "same", GOOD).status_code == 200
    detail = endless.result().json()["detail"]  # the loop and the watchdog keep the same deadline: either may be first
    assert detail in {"the run took too long", "the run was stopped before it had finished"}
    assert_problem(endless.result(), 504, code="predict_timeout", detail=detail)
    assert_good_requests_work(client)


def test_more_requests_than_may_wait_are_told_to_come_back(client: httpx.Client) -> None:
    upload(client, "slow", models.loop(trips=20_000))
    have_loaded(client, "slow", GOOD)
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda _: predict(client, "slow", GOOD), range(48)))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert 0 < len(refused) < len(answers)
    for answer in refused:
        assert_problem(answer, 429, code="overloaded", detail="2 requests wait for this version already")
        assert answer.headers["retry-after"] == "1"
    assert predict(client, "slow", GOOD).status_code == 200
    assert_good_requests_work(client)


def test_a_model_bigger_than_the_budget_is_refused_and_nobody_is_dropped_for_it(tmp_path: Path) -> None:
    with running_registry(tmp_path / "data") as registry, registry.client() as client:  # prepared, it would take less
        upload(client, "huge", models.wide_linear(2048, 3))
    with running_gateway(tmp_path / "data", memory_budget="24MiB") as gateway, gateway.client() as client:
        assert_good_requests_work(client)
        before = evictions(client)
        answer = predict(client, "huge", {"inputs": [[0.5] * 2048]})
        needed = client.get("/registry/models/huge/versions/1").json()["memory_bytes"]
        detail = f"the model takes {needed} bytes of memory, more than the whole budget of {24 << 20} bytes"
        assert_problem(answer, 503, code="insufficient_memory", detail=detail)
        assert answer.headers["retry-after"] == "1"
        assert evictions(client) == before
        assert_good_requests_work(client)


def evictions(client: httpx.Client) -> float:
    lines = client.get("/metrics").text.splitlines()
    (line,) = [line for line in lines if line.startswith("sardonyx_cache_evictions_total")]
    return float(line.split()[1])


@embedded_only
@pytest.mark.parametrize(
    ("damage", "code"), [("removed", "artifact_missing"), ("changed", "artifact_corrupt")], ids=["removed", "changed"]
)
def test_a_lost_file_fails_its_own_cold_model_only(tmp_path: Path, damage: str, code: str) -> None:
    with running_registry(tmp_path / "data") as registry, registry.client() as client:
        upload(client, "lost", models.linear())
        upload(client, "kept", models.identity())
    with running_gateway(tmp_path / "data") as gateway, gateway.client() as client:
        assert predict(client, "kept", GOOD).status_code == 200
        digest = client.get("/registry/models/lost/versions/1").json()["digest"].removeprefix("sha256:")
        (blob,) = (tmp_path / "data" / "store").rglob(digest)
        blob.chmod(0o644)
        if damage == "removed":
            blob.unlink()
        else:
            blob.write_bytes(blob.read_bytes()[:-1] + b"!")
        withheld = "Nothing in the request has to change. The operator finds the cause in the log by this request id."
        assert_problem(predict(client, "lost", {"inputs": [[1, 2, 3, 4]]}), 503, code=code, detail=withheld)
        assert predict(client, "kept", GOOD).status_code == 200


def test_optional_inputs_may_be_left_out_or_given(client: httpx.Client) -> None:
    upload(client, "biased", models.optional_bias(default=1.0))
    (_, bias) = client.get("/registry/models/biased/versions/1").json()["signature"]["inputs"]
    value: object = 10.0 if bias["shape"] == [] else [10.0]
    assert bias["optional"] is True
    have_loaded(client, "biased", {"inputs": {"x": [1.5]}})
    left_out = predict(client, "biased", {"inputs": {"x": [1.5]}})
    given = predict(client, "biased", {"inputs": {"x": [1.5], bias["name"]: value}})
    assert (left_out.json()["outputs"], given.json()["outputs"]) == ({"y": [2.5]}, {"y": [11.5]})


def test_a_stuck_run_costs_its_worker_and_nobody_waits_long_for_the_next(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data", predict_timeout_seconds="0.2") as gateway, gateway.client() as client:
        upload(client, "same", models.identity())
        upload(client, "stuck", endless_suppression())
        before = gateway.workers()
        have_loaded(client, "stuck", {"inputs": 2})

        def is_replaced() -> bool:
            # Again and again: on a busy machine a request may miss its deadline before its run has begun.
            begin_stuck_run(client)
            return gateway.workers() not in ([], before)

        wait_until(is_replaced)
        wait_until_ready(gateway)
        wait_until(lambda: predict(client, "same", GOOD).status_code == 200)
        assert "run_is_stuck" in gateway.log_path.read_text()
        assert scrape(client).value("sardonyx_worker_deaths_total", cause="hang") >= 1


def begin_stuck_run(client: httpx.Client) -> None:
    """Ask for a run that does not end; the answer is a missed deadline, or none where the worker went first."""
    with suppress(httpx.TransportError):
        answer = predict(client, "stuck", {"inputs": 800_000})
        assert (answer.status_code, json.loads(answer.content)["code"]) == (504, "predict_timeout")
