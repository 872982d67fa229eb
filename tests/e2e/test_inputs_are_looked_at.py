"""What requests bring to a version: over every protocol, over two workers, beside a shadow, and nothing is kept."""

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from onnx import ModelProto, helper

from gateway.cli.entry import main
from gateway.client import Client
from tests.e2e.test_phase_counts import ONE_BY_ONE, PICTURE, ROW
from tests.support import models
from tests.support.files import paths_below
from tests.support.gateway_process import GatewayProcess, fixed_port, running_gateway, wait_until
from tests.support.problems import assert_problem
from tests.support.raw_http import connected, go_on, request_bytes
from tests.support.scrapes import scrape
from tests.support.uploads import ensure_uploaded, upload

TIMES = 20
SENTINEL = "7f3a-nobody-else-says-this"
SPREAD = {"inputs": {"x": [[0.0, 0.0, 0.0, 0.0], [2.0, 4.0, 0.0, 8.0]]}}
"""An example whose columns have the means 1, 2, 0 and 4, and as much deviation."""
COLUMNS = ["sepal length", "sepal width", "petal length", "petal width"]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("looking") / "data"
    with running_gateway(folder, workers="2", grpc_port=str(fixed_port()), input_statistics="on") as running:
        yield running


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        yield opened


def with_columns(model: ModelProto) -> ModelProto:
    """Write into a model what its columns are called."""
    helper.set_model_props(model, {"sardonyx.columns": json.dumps(COLUMNS)})
    return model


def found(client: httpx.Client, name: str) -> dict[str, Any]:
    document: dict[str, Any] = client.get(f"/registry/models/{name}/versions/1/inputs").raise_for_status().json()
    return document


def looked_at(client: httpx.Client, name: str) -> int:
    return int(found(client, name)["looked_at"])


def ask(client: httpx.Client, name: str, rows: Any = ROW, times: int = TIMES) -> None:
    """Send as many requests on one connection, and wait until they have been looked at."""
    before = looked_at(client, name)
    for _ in range(times):
        client.post(f"/v1/models/{name}/predict", json={"inputs": rows}).raise_for_status()
    wait_until(lambda: looked_at(client, name) == before + times)


@contextmanager
def asking_worker(gateway: GatewayProcess, worker: int) -> Iterator[httpx.Client]:
    """A client of one worker: while it connects, the others stand still."""
    others = [other for other in gateway.workers() if other != worker]
    with gateway.client() as client:
        for other in others:
            os.kill(other, signal.SIGSTOP)
        try:
            client.get("/health/live").raise_for_status()
        finally:
            for other in others:
                os.kill(other, signal.SIGCONT)
        yield client


def means(document: dict[str, Any]) -> list[float]:
    return [column["mean"] for column in document["inputs"][0]["columns"]]


# --- every door -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ONE_BY_ONE)
def test_requests_are_looked_at_whichever_way_they_come(
    gateway: GatewayProcess, client: httpx.Client, way: str
) -> None:
    upload(client, way, models.linear())
    for _ in range(TIMES):
        ONE_BY_ONE[way](gateway, way)
    wait_until(lambda: looked_at(client, way) == TIMES)


def test_requests_that_share_a_run_are_looked_at_each(gateway: GatewayProcess, client: httpx.Client) -> None:
    upload(client, "shared", models.linear())
    body = json.dumps({"inputs": ROW}).encode()
    head = ("POST /v1/models/shared/predict HTTP/1.1", "Host: localhost", "Content-Type: application/json")
    request = request_bytes(*head, body=body)
    with ExitStack() as opened:
        connections = [opened.enter_context(connected(gateway.url)) for _ in range(12)]
        for place, connection in enumerate(connections):
            connection.sendall(request)
            connections[place] = go_on(connection, opened)
        for worker in gateway.workers():
            os.kill(worker, signal.SIGSTOP)
        for connection in connections:
            connection.sendall(request)
        for worker in gateway.workers():
            os.kill(worker, signal.SIGCONT)
        for connection in connections:
            go_on(connection, opened)
    wait_until(lambda: looked_at(client, "shared") == 24)


def test_long_runs_are_looked_at(client: httpx.Client) -> None:
    upload(client, "long", models.deep_conv())
    ask(client, "long", PICTURE.tolist(), times=3)


def test_what_runs_in_a_child_is_looked_at(client: httpx.Client) -> None:
    upload(client, "apart", models.linear())
    client.patch("/registry/models/apart/versions/1", json={"isolation": "isolated"}).raise_for_status()
    ask(client, "apart")


def test_what_was_not_answered_is_not_looked_at(client: httpx.Client) -> None:
    upload(client, "refused", models.linear())
    assert client.post("/v1/models/refused/predict", json={"inputs": [[1.0]]}).status_code == 422
    ask(client, "refused", times=1)
    assert looked_at(client, "refused") == 1


# --- what is told -----------------------------------------------------------------------------------------------------


def test_live_numbers_stand_beside_those_of_the_examples(client: httpx.Client) -> None:
    upload(client, "whole", models.linear())
    client.post("/registry/models/whole/versions/1/examples", json=SPREAD).raise_for_status()
    ask(client, "whole", [[1.0, 4.0, 0.5, 8.0], [1.0, 8.0, 0.5, 8.0]])
    wait_until(lambda: found(client, "whole")["inputs"][0]["shift"] is not None)  # the examples have been read
    document = found(client, "whole")
    assert (document["skipped"], document["left_out"], document["host"]) == (0, [], socket.gethostname())
    (looked,) = document["inputs"]
    no_shares = {"nan_share": 0.0, "infinite_share": 0.0}
    live = ((1.0, 0.0, 0.0), (6.0, 2.0, 2.0), (0.5, 0.0, None), (8.0, 0.0, 1.0))
    examples = ((1.0, 1.0), (2.0, 2.0), (0.0, 0.0), (4.0, 4.0))
    assert looked == {
        "name": "x",
        "dtype": "float32",
        "requests": TIMES,
        "shift": 2.0,
        "columns": [
            {
                "column": place,
                "name": None,
                "count": 2 * TIMES,
                "mean": mean,
                "std": std,
                **no_shares,
                "unseen_share": None,
                "recent": {"count": 2 * TIMES, "mean": mean, "std": std, **no_shares},
                "shift": shift,
                "reference": {"count": 2, "mean": examples[place][0], "std": examples[place][1], **no_shares},
            }
            for place, (mean, std, shift) in enumerate(live)
        ],
    }


def test_of_few_requests_only_the_number_is_told(client: httpx.Client) -> None:
    upload(client, "few", models.linear())
    ask(client, "few", times=TIMES - 1)
    document = found(client, "few")
    assert (document["looked_at"], document["inputs"][0]["requests"], means(document)) == (TIMES - 1, 0, [None] * 4)
    ask(client, "few", times=1)
    assert means(found(client, "few")) == ROW[0]


def test_what_is_no_number_is_counted(client: httpx.Client) -> None:
    upload(client, "odd", models.linear())
    ask(client, "odd", [["NaN", 1.0, 1.0, "Infinity"], [1.0, 1.0, 1.0, 1.0]])
    columns = found(client, "odd")["inputs"][0]["columns"]
    shares = [(column["nan_share"], column["infinite_share"], column["mean"]) for column in columns]
    assert shares == [(0.5, 0.0, 1.0), (0.0, 0.0, 1.0), (0.0, 0.0, 1.0), (0.0, 0.5, 1.0)]


def test_text_that_is_in_no_example_is_unseen(client: httpx.Client) -> None:
    upload(client, "words", models.identity("string"))
    client.post("/registry/models/words/versions/1/examples", json={"inputs": {"x": ["a", "b"]}}).raise_for_status()
    ask(client, "words", ["a", "c"])  # and the examples are read meanwhile

    def share() -> float | None:
        ask(client, "words", ["a", "c"])
        unseen: float | None = found(client, "words")["inputs"][0]["columns"][0]["unseen_share"]
        return unseen

    wait_until(lambda: share() == 0.5)


def test_a_version_that_nobody_asks_has_its_inputs_and_no_numbers(client: httpx.Client) -> None:
    upload(client, "idle", models.linear())
    document = found(client, "idle")
    assert (document["looked_at"], document["since"], means(document)) == (0, None, [None] * 4)


def test_when_examples_change_the_numbers_are_held_against_the_new_ones(client: httpx.Client) -> None:
    upload(client, "changing", models.linear())
    ask(client, "changing")
    assert found(client, "changing")["inputs"][0]["shift"] is None
    client.post("/registry/models/changing/versions/1/examples", json=SPREAD).raise_for_status()

    def shift() -> float | None:
        ask(client, "changing", times=1)
        greatest: float | None = found(client, "changing")["inputs"][0]["shift"]
        return greatest

    wait_until(lambda: shift() == 0.0)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/registry/models/nobody/versions/1/inputs", "model_not_found"),
        ("/registry/models/idle-too/versions/9/inputs", "version_not_found"),
    ],
)
def test_what_is_not_there_has_no_inputs(client: httpx.Client, path: str, code: str) -> None:
    ensure_uploaded(client, "idle-too", models.linear())
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, code)


# --- several workers --------------------------------------------------------------------------------------------------


def test_two_workers_are_put_together_and_each_tells_the_same(gateway: GatewayProcess) -> None:
    with gateway.client() as client:
        upload(client, "both", models.linear())
    # Each worker has one connection: none has to go to the other one, in the middle of what it is asked here.
    first, second = gateway.workers()
    with asking_worker(gateway, first) as one, asking_worker(gateway, second) as other:
        ask(one, "both", [[1.0, 2.0, 3.0, 4.0]])
        ask(other, "both", [[3.0, 2.0, 3.0, 4.0]])
        documents = [found(each, "both") for each in (one, other)]
        lines = [
            scrape(each).by("input", "sardonyx_input_values_total", model="both", version="1") for each in (one, other)
        ]
    assert documents[0] == documents[1]
    column = documents[0]["inputs"][0]["columns"][0]
    assert (documents[0]["looked_at"], column["count"], column["mean"], column["std"]) == (
        2 * TIMES,
        2 * TIMES,
        2.0,
        1.0,
    )
    assert lines == [{"x": 8 * TIMES}] * 2


def test_a_worker_that_dies_takes_no_sum_with_it(gateway: GatewayProcess, client: httpx.Client) -> None:
    upload(client, "lasting", models.linear())
    ask(client, "lasting")
    before = set(gateway.workers())
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    wait_until(lambda: len(set(gateway.workers()) - before) == 2)
    with gateway.client() as another:
        assert (looked_at(another, "lasting"), means(found(another, "lasting"))) == (TIMES, ROW[0])
        ask(another, "lasting", [[3.0, 2.0, 3.0, 4.0]])
        assert means(found(another, "lasting")) == [2.0, 2.0, 3.0, 4.0]


# --- beside others ----------------------------------------------------------------------------------------------------


def test_a_shadow_compares_what_is_looked_at_too(client: httpx.Client) -> None:
    for seed in (1, 2):
        upload(client, "shaded", models.linear(seed=seed))
    move = {"version": 1, "shadow": {"version": 2, "percent": 100}}
    client.put("/registry/models/shaded/aliases/production", json=move).raise_for_status()

    def compared() -> int:
        report = client.get("/registry/models/shaded/aliases/production/shadow").json()["report"]
        return 0 if report is None else int(report["compared"])

    for _ in range(TIMES):
        client.post("/models/shaded/predict", json={"inputs": ROW}).raise_for_status()
    wait_until(lambda: (looked_at(client, "shaded"), compared()) == (TIMES, TIMES))
    assert means(found(client, "shaded")) == ROW[0]


def test_the_client_has_it_as_rows(gateway: GatewayProcess, client: httpx.Client) -> None:
    upload(client, "rows", with_columns(models.linear()))
    ask(client, "rows")
    with Client(gateway.url) as ours:
        report = ours.inputs("rows:1")
    assert [(row["input"], row["column"], row["name"], row["mean"]) for row in report.rows] == [
        ("x", place, COLUMNS[place], mean) for place, mean in enumerate(ROW[0])
    ]


def test_the_command_shows_it_as_a_table(
    gateway: GatewayProcess, client: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    upload(client, "table", with_columns(models.linear()))
    ask(client, "table")
    with pytest.raises(SystemExit) as ended:
        main(["--url", gateway.url, "inputs", "table:1"])
    heading, columns, *rows = capsys.readouterr().out.splitlines()
    assert (ended.value.code, heading.split(" since ")[0]) == (
        0,
        f"table:1 on {socket.gethostname()}: {TIMES} requests looked at, 0 skipped",
    )
    assert columns.split()[:5] == ["INPUT", "COLUMN", "VALUES", "MEAN", "STD"]
    assert [re.split(" {2,}", row)[:5] for row in rows] == [
        ["x", COLUMNS[n], str(TIMES), str(n + 1), "0"] for n in range(4)
    ]


def test_the_command_gives_a_script_what_the_gateway_says(
    gateway: GatewayProcess, client: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    upload(client, "scripted", models.linear())
    with pytest.raises(SystemExit) as ended:
        main(["--url", gateway.url, "inputs", "scripted:1", "--json"])
    assert (ended.value.code, json.loads(capsys.readouterr().out)) == (0, found(client, "scripted"))


def test_the_page_of_a_version_shows_it(client: httpx.Client) -> None:
    upload(client, "shown", with_columns(models.linear()))
    ask(client, "shown")
    page = client.get("/console/models/shown/versions/1").raise_for_status().text
    assert [f"<td><code>{name}</code></td>" in page for name in COLUMNS] == [True] * 4
    assert ("What requests bring" in page, f"{TIMES} requests to this host looked at" in page) == (True, True)


def test_nothing_that_was_sent_is_on_disk_in_a_log_or_in_an_answer(
    gateway: GatewayProcess, client: httpx.Client
) -> None:
    upload(client, "private", models.identity("string"))
    client.post("/registry/models/private/versions/1/examples", json={"inputs": {"x": ["a"]}}).raise_for_status()
    ask(client, "private", [SENTINEL])
    told = "".join((client.get("/metrics").text, json.dumps(found(client, "private")), gateway.log_path.read_text()))
    files = {path: content_of(path) for path in paths_below(gateway.data_dir) if path.is_file()}
    assert any(files.values())
    assert ([path for path, content in files.items() if SENTINEL.encode() in content], SENTINEL in told) == ([], False)


def content_of(path: Path) -> bytes:
    """What a file has; nothing, if it was for a moment only."""
    with suppress(FileNotFoundError):
        return path.read_bytes()
    return b""


# --- off --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A gateway that looks at no inputs."""
    folder: Path = tmp_path_factory.mktemp("plain") / "data"
    with running_gateway(folder) as running, running.client() as opened:
        upload(opened, "iris", models.linear())
        yield opened


def test_a_gateway_that_looks_at_no_inputs_says_so(plain: httpx.Client) -> None:
    detail = "the gateway looks at no inputs: SARDONYX_INPUT_STATISTICS is off"
    answer = plain.get("/registry/models/iris/versions/1/inputs")
    assert_problem(answer, 409, code="input_statistics_off", detail=detail)
    assert "sardonyx_input" not in scrape(plain).text
    assert "What requests bring" not in plain.get("/console/models/iris/versions/1").raise_for_status().text


def test_an_answer_is_the_same_whether_it_is_looked_at_or_not(client: httpx.Client, plain: httpx.Client) -> None:
    upload(client, "iris", models.linear())
    bodies = [{"inputs": ROW}, {"inputs": ROW * 5, "id": "mine"}, {"inputs": [["NaN", 0, 1e30, -1]]}]
    answers = [
        [
            (answer.status_code, answer.content)
            for answer in (each.post("/v1/models/iris/predict", json=body) for body in bodies)
        ]
        for each in (client, plain)
    ]
    assert answers[0] == answers[1]
