"""Every file that must be refused, sent over HTTP: whole answers, nothing left behind, and the next model is taken."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support import models
from tests.support.files import paths_below
from tests.support.gateway_process import GatewayProcess, wait_until
from tests.support.hostile_files import FOREIGN, REFUSED, Hostile, misnamed, renamed
from tests.support.inspecting import inspectors
from tests.support.problems import assert_problem
from tests.support.raw_http import connected, read_answer, request_bytes
from tests.support.settled import wait_until_settled
from tests.support.uploads import ensure_uploaded, send

GOOD = models.linear(seed=99).SerializeToString()
EVERY = {**{case: (422, hostile) for case, hostile in REFUSED.items()}, **{k: (415, h) for k, h in FOREIGN.items()}}
COSTLY = [hostile for hostile in REFUSED.values() if hostile.code.startswith("inspection_")]


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        yield opened


@pytest.fixture
def before(gateway: GatewayProcess, client: httpx.Client) -> list[Path]:
    """What lies in the store when a good model is there."""
    ensure_uploaded(client, "good", GOOD)
    return files_under(gateway.data_dir / "store")


def files_under(folder: Path) -> list[Path]:
    return sorted(path for path in paths_below(folder) if path.is_file())


def assert_refused(client: httpx.Client, status: int, hostile: Hostile) -> None:
    answer = send(client, "refused", hostile.octets())
    detail = answer.json()["detail"]
    assert detail[: len(hostile.says)] == hostile.says
    assert_problem(answer, status, code=hostile.code, detail=detail)


def assert_untouched(gateway: GatewayProcess, client: httpx.Client, before: list[Path]) -> None:
    assert files_under(gateway.data_dir / "store") == before
    assert list((gateway.data_dir / "spool").iterdir()) == []
    missing = client.get("/registry/models/refused")
    assert_problem(missing, 404, code="model_not_found", detail="there is no model 'refused'")
    again = send(client, "good", GOOD)
    assert (again.status_code, again.json()["version"]) == (200, 1)
    predicted = client.post("/v1/models/good/predict", json={"inputs": [[0, 0, 0, 0]]})
    assert predicted.json() == {"model": "good", "version": 1, "outputs": {"y": [[0.0, 0.0, 0.0]]}}


def ended_children_faults(gateway: GatewayProcess) -> int:
    """Page faults of the worker's children that have ended: more whenever there was one more child."""
    (worker,) = gateway.workers()
    fields = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()
    return int(fields[8])


@pytest.mark.parametrize("case", EVERY)
def test_it_is_refused_and_leaves_nothing_behind(
    gateway: GatewayProcess, client: httpx.Client, before: list[Path], case: str
) -> None:
    status, hostile = EVERY[case]
    workers = gateway.workers()
    assert_refused(client, status, hostile)
    assert_untouched(gateway, client, before)
    assert gateway.workers() == workers


def test_what_killed_an_inspector_is_not_given_to_another(
    gateway: GatewayProcess, client: httpx.Client, before: list[Path]
) -> None:
    for hostile in COSTLY:
        assert_refused(client, 422, hostile)
    assert_untouched(gateway, client, before)
    with all_turns_taken(gateway) as standing:  # so whoever gave it to one would have to wait
        for hostile in COSTLY:
            assert_refused(client, 422, hostile)
        assert inspectors(gateway.data_dir) == standing


@contextmanager
def all_turns_taken(gateway: GatewayProcess) -> Iterator[set[int]]:
    """Have as many inspections under way as there may be, all of which stand still; gives who makes them."""
    wait_until_settled(gateway, "good")
    with ExitStack() as opened:
        uploads = [opened.enter_context(connected(gateway.url)) for _ in range(2)]
        for width, connection in enumerate(uploads, 1):
            line = "POST /registry/models/endless/versions HTTP/1.1"
            content = models.loop(width=width).SerializeToString()
            connection.sendall(
                request_bytes(line, "Host: localhost", "Content-Type: application/octet-stream", body=content)
            )
        wait_until(lambda: len(inspectors(gateway.data_dir)) == 2)
        standing = inspectors(gateway.data_dir)
        for pid in standing:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield standing
        finally:
            for pid in standing:
                os.kill(pid, signal.SIGKILL)
            for connection in uploads:
                read_answer(connection)


def test_other_files_are_given_to_an_inspector_each_time(
    gateway: GatewayProcess, client: httpx.Client, before: list[Path]
) -> None:
    hostile = REFUSED["functions that call each other"]
    counts = [ended_children_faults(gateway)]
    for _ in range(2):
        assert_refused(client, 422, hostile)
        counts.append(ended_children_faults(gateway))
    assert counts == sorted(set(counts))
    assert_untouched(gateway, client, before)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("x\ny\x1b[31m", r"x\x0ay\x1b[31m"),
        ("x\x00", r"x\x00"),
        ('{"level": "error"}\r\n', r'{"level": "error"}\x0d\x0a'),
        ("\N{LINE SEPARATOR}", r"\u2028"),
        ("n" * 257, "n" * 64 + "..."),
    ],
    ids=["escapes", "NUL", "JSON", "line separator", "long"],
)
def test_a_hostile_name_stays_on_one_line_of_the_answer_and_of_the_log(
    gateway: GatewayProcess, client: httpx.Client, before: list[Path], name: str, shown: str
) -> None:
    answer = send(client, "refused", Hostile(renamed(name), "", "").octets())
    assert_problem(answer, 422, code="invalid_tensor_name", detail=misnamed(shown))
    request_id = answer.headers["x-request-id"]
    assert_untouched(gateway, client, before)
    wait_until(lambda: request_id in gateway.log_path.read_text())  # lines are written in bundles
    text = gateway.log_path.read_text()
    (line,) = [line for line in gateway.log_lines() if line.get("request_id") == request_id]
    assert (line["status"], line["code"], "\x1b" in text) == (422, "invalid_tensor_name", False)
    assert text.splitlines() == text.split("\n")[:-1]
