"""Models that end the process which runs them: they move to processes of their own, and harm nobody else there."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import httpx
import pytest

from tests.e2e.test_runtime_troubles import GOOD, assert_good_requests_work, endless_suppression, predict
from tests.support import models
from tests.support.gateway_process import GatewayProcess, children_of, running_gateway, wait_until
from tests.support.killers import RESET, SMALLEST, ask, events_about, upload_killer
from tests.support.problems import assert_problem
from tests.support.scrapes import scrape
from tests.support.tokens import bearer, make_token
from tests.support.uploads import upload

CRASHED = {"code": "model_crashed", "detail": "the model crashed on this request, in a process of its own"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("crashing") / "data"
    with running_gateway(folder, predict_timeout_seconds="5", run_memory="256MiB") as running:
        yield running


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        yield opened


def isolate(client: httpx.Client, name: str) -> None:
    answer = client.patch(f"/registry/models/{name}/versions/1", json={"isolation": "isolated"})
    assert answer.status_code == 200, answer.text


def isolation(client: httpx.Client, name: str) -> str:
    found: str = client.get(f"/registry/models/{name}/versions/1").json()["isolation"]
    return found


def test_what_kills_a_worker_kills_only_its_own_process_from_then_on(gateway: GatewayProcess) -> None:
    upload_killer(gateway, "killer")
    assert ask(gateway, "killer", 5) == [-5]
    assert ask(gateway, "killer", SMALLEST) == RESET
    before = gateway.workers()
    outcomes = [ask(gateway, "killer", value) for value in (SMALLEST, 6, SMALLEST, 7)]
    assert outcomes == ["model_crashed", [-6], "model_crashed", [-7]]
    with gateway.client() as client:
        assert_good_requests_work(client)
        assert gateway.workers() == [pid for pid in gateway.workers() if pid in before or not before]
        wait_until(lambda: client.get("/registry/models/killer/versions/1").json()["deaths"] >= 2)
        assert isolation(client, "killer") == "isolated"
        crash = {"where": "in_process", "stage": "run", "cause": "SIGFPE", "certain": True, "deaths": 1}
        (kind, detail), (moved, _) = events_about(client, "killer")[:2]
        del detail["host"]
        assert (kind, detail, moved) == ("version_crashed", crash, "version_isolated")


def test_a_crash_in_a_child_is_told_as_a_problem_and_the_next_request_is_answered(
    gateway: GatewayProcess, client: httpx.Client
) -> None:
    upload_killer(gateway, "told")
    isolate(client, "told")
    assert ask(gateway, "told", 3) == [-3]
    answer = predict(client, "told", {"inputs": [SMALLEST]})
    assert_problem(answer, 503, **CRASHED)
    assert int(answer.headers["retry-after"]) >= 1
    assert ask(gateway, "told", 4) == [-4]
    assert_good_requests_work(client)


def test_a_publisher_may_ask_for_a_process_from_the_start_and_no_worker_ever_dies(
    gateway: GatewayProcess, client: httpx.Client
) -> None:
    upload_killer(gateway, "asked", isolation="isolated")
    before = gateway.workers()
    assert [ask(gateway, "asked", value) for value in (SMALLEST, 2)] == ["model_crashed", [-2]]
    assert gateway.workers() == before
    assert isolation(client, "asked") == "isolated"


def test_a_child_that_dies_on_every_request_is_quarantined_until_an_admin_clears_it(
    gateway: GatewayProcess, client: httpx.Client
) -> None:
    upload_killer(gateway, "hopeless", isolation="isolated")
    wait_until(lambda: ask(gateway, "hopeless", SMALLEST) == "model_quarantined")
    wait_until(lambda: isolation(client, "hopeless") == "quarantined")
    before = waits_for_loads(client)
    assert_problem(
        predict(client, "hopeless", {"inputs": [1]}),
        503,
        code="model_quarantined",
        detail="hopeless version 1 has ended its process on every request, and is not run until an administrator "
        "clears it",
    )
    assert waits_for_loads(client) == before
    assert [kind for kind, _ in events_about(client, "hopeless")].count("version_quarantined") == 1
    listed = client.get("/registry/quarantine").json()["items"]
    assert ("hopeless", "quarantined") in [(item["model"], item["isolation"]) for item in listed]
    assert client.delete("/registry/quarantine/hopeless/1").status_code == 200
    wait_until(lambda: ask(gateway, "hopeless", 1) == [-1])
    assert isolation(client, "hopeless") == "isolated"


def waits_for_loads(client: httpx.Client) -> float:
    """How many requests have wanted a load; what is loaded anew by itself is not among them."""
    return scrape(client).value("sardonyx_cache_misses_total")


def test_a_kernel_that_does_not_end_costs_its_child_alone(gateway: GatewayProcess, client: httpx.Client) -> None:
    upload(client, "stuck", endless_suppression())
    isolate(client, "stuck")
    assert predict(client, "stuck", {"inputs": 2}).status_code == 200
    before = gateway.workers()
    answer = predict(client, "stuck", {"inputs": 800_000})
    assert_problem(answer, 504, code="predict_timeout", detail="the run took too long")
    assert predict(client, "stuck", {"inputs": 2}).status_code == 200
    assert gateway.workers() == before
    assert_good_requests_work(client)


def test_a_run_that_grows_without_end_is_stopped_for_its_memory(gateway: GatewayProcess, client: httpx.Client) -> None:
    upload(client, "growing", models.loop(collects=True, width=1 << 16, is_asked=True))
    before = gateway.workers()
    for place in ("in_process", "isolated"):
        wait_until(lambda place=place: isolation(client, "growing") == place)  # type: ignore[misc]
        answer = predict(client, "growing", {"inputs": {"x": [0.5] * (1 << 16), "trips": 1 << 40}})
        assert answer.status_code == 503, answer.text
        assert answer.json()["code"] == "model_out_of_memory"
        assert_good_requests_work(client)
    assert gateway.workers() == before


def test_an_answer_of_gigabytes_is_refused(gateway: GatewayProcess, client: httpx.Client) -> None:
    upload(client, "large", models.expanded_to_request())
    before = gateway.workers()
    for _ in range(2):
        answer = predict(client, "large", {"inputs": {"x": [1], "shape": [3 << 25]}})
        assert (answer.status_code, answer.json()["code"]) == (503, "model_out_of_memory")
        small = predict(client, "large", {"inputs": {"x": [1], "shape": [2]}})
        assert (small.status_code, small.json().get("outputs")) == (200, {"y": [1.0, 1.0]}), small.text
    assert gateway.workers() == before
    assert_good_requests_work(client)


@pytest.mark.parametrize(("name", "size"), [("more-than-may-be", 3 << 25), ("more-than-there-is", 3 << 27)])
def test_a_run_that_takes_too_much_in_a_child_leaves_the_next_one_as_much_as_ever(
    client: httpx.Client, name: str, size: int
) -> None:
    upload(client, name, models.expanded_to_request())
    isolate(client, name)
    before = deaths_of_children(client)
    answers = [predict(client, name, {"inputs": {"x": [1], "shape": [many]}}) for many in (size, 2, size, 2)]
    said = [answer.json().get("code") or answer.json()["outputs"] for answer in answers]
    assert said == ["model_out_of_memory", {"y": [1.0, 1.0]}] * 2
    assert deaths_of_children(client) == before


def deaths_of_children(client: httpx.Client) -> float:
    return scrape(client).value("sardonyx_isolated_deaths_total")


def test_whoever_uses_a_model_properly_is_answered_while_another_kills_it(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data", auth="on", workers="2") as gateway:
        admin, attacker, user = (
            bearer(make_token(gateway.data_dir, role, name=name).text)
            for role, name in (("admin", "a"), ("predict", "b"), ("predict", "c"))
        )
        upload_killer(gateway, "shared", admin, isolation="isolated")
        have_answered_everywhere(gateway, "shared", user=user, admin=admin)
        is_over = Event()

        def attack() -> int:
            count = 0
            while not is_over.is_set():
                count += ask(gateway, "shared", SMALLEST, attacker) == "model_crashed"
            return count

        with ThreadPoolExecutor(1) as pool:
            attacks = pool.submit(attack)
            answers = [ask(gateway, "shared", number, user) for number in range(100)]
            is_over.set()
        assert answers == [[-number] for number in range(100)]
        assert attacks.result() > 0


def have_answered_everywhere(
    gateway: GatewayProcess, name: str, *, user: dict[str, str], admin: dict[str, str]
) -> None:
    """Ask over one connection after the other, until each of two workers has told that it holds the version.

    A version that has answered nobody is quarantined after a few deaths, whoever would be answered next.
    """
    with gateway.client(headers=admin) as client:

        def holds() -> bool:
            assert ask(gateway, name, 1, user) == [-1]
            workers = client.get("/registry/workers").json()["items"]
            return [f"{name}:1" in worker["resident"] for worker in workers] == [True, True]

        wait_until(holds)


def test_a_killing_request_sent_again_and_again_is_reset_twice_at_most(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data", workers="3") as gateway:
        upload_killer(gateway, "killer")
        for number in range(9):
            assert ask(gateway, "killer", number) == [-number]  # so that every worker has it, most likely
        outcomes = [ask(gateway, "killer", SMALLEST) for _ in range(12)]
        assert outcomes.count(RESET) <= 2
        assert set(outcomes) - {RESET} <= {"model_crashed", "model_quarantined"}
        with gateway.client() as client:
            assert predict(client, "killer", GOOD).status_code == 422


def test_a_version_that_is_retired_takes_its_processes_with_it(gateway: GatewayProcess, client: httpx.Client) -> None:
    (worker,) = gateway.workers()
    upload_killer(gateway, "leaving", isolation="isolated")
    before = processes_of(worker)
    assert ask(gateway, "leaving", 2) == [-2]
    own: set[int] = set()

    def are_there() -> bool:
        own.clear()
        own.update(processes_of(worker) - before)
        return len(own) == 3  # an origin, a child, and the next one

    wait_until(are_there)
    assert client.delete("/registry/models/leaving/versions/1").status_code == 200
    wait_until(lambda: not processes_of(worker) & own)


def processes_of(worker: int) -> set[int]:
    return set(children_of(worker, "registry.inspection"))
