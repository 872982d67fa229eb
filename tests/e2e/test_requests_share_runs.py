"""Requests that arrive together are answered together, and nobody can tell from the answers."""

import json
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import onnxruntime
import pytest

from tests.support import models
from tests.support.gateway_process import GatewayProcess, running_gateway, wait_until
from tests.support.raw_http import RawAnswer, read_answer, request_bytes
from tests.support.settled import wait_until_settled
from tests.support.uploads import upload

EXAMPLES = Path(__file__).parents[2] / "examples"
FOREST, LOGISTIC = EXAMPLES / "iris_forest.onnx", EXAMPLES / "iris_logistic.onnx"
COUNT = 48


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway with both models loaded."""
    with running_gateway(tmp_path_factory.mktemp("crowd") / "data") as gateway, gateway.client() as client:
        for name, path in (("forest", FOREST), ("logistic", LOGISTIC)):
            upload(client, name, path.read_bytes())
            wait_until_settled(gateway, name)
            for _ in range(2):
                client.post(f"/v1/models/{name}/predict", json={"inputs": rows(1, 0).tolist()}).raise_for_status()
        yield gateway


def rows(count: int, seed: int) -> Any:
    return np.random.default_rng(seed).normal(3, 3, (count, 4)).astype(np.float32)


def ask(name: str, body: object, *headers: str) -> bytes:
    lines = ("Host: localhost", "Content-Type: application/json", *headers)
    return request_bytes(f"POST /v1/models/{name}/predict HTTP/1.1", *lines, body=json.dumps(body).encode())


def together(
    gateway: GatewayProcess, requests: Sequence[bytes], *, warm: Sequence[Any] = ((1, 2, 3, 4),)
) -> list[RawAnswer]:
    """Send each request over a connection of its own while the worker stands still, and return the answers."""
    parts = urlsplit(gateway.url)
    (worker,) = gateway.workers()
    with ExitStack() as opened:
        address = (parts.hostname or "", parts.port or 80)
        connections = [opened.enter_context(socket.create_connection(address, timeout=30)) for _ in requests]
        for connection in connections:  # each connection has been accepted, and its head is known
            connection.sendall(ask("forest", {"inputs": warm}))
            assert read_answer(connection).status == 200
        os.kill(worker, signal.SIGSTOP)
        try:
            for connection, request in zip(connections, requests, strict=True):
                connection.sendall(request)
        finally:
            os.kill(worker, signal.SIGCONT)
        return [read_answer(connection) for connection in connections]


def alone(path: Path, feed: Any) -> dict[str, Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {session.get_inputs()[0].name: feed}), strict=True))


def is_right(answer: RawAnswer, path: Path, feed: Any) -> bool:
    if answer.status != 200:
        return False
    outputs = json.loads(answer.body)["outputs"]
    wanted = alone(path, feed)
    return all(np.array(outputs[name], array.dtype).tobytes() == array.tobytes() for name, array in wanted.items())


def counts(gateway: GatewayProcess) -> dict[str, int]:
    """Return what the metrics have of runs, as it was when they were published last."""
    with gateway.client() as client:
        lines = [line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines() if not line.startswith("#")]
    return {name: int(float(value)) for name, value in lines if name.startswith(("sardonyx_runs", "sardonyx_shared"))}


def shared_requests(gateway: GatewayProcess, requests: Sequence[bytes]) -> int:
    """Send requests together and return how many of them have shared a run."""
    before = counts(gateway)
    together(gateway, requests)
    # Each connection is warmed up by a run of its own, and what comes together takes one more at least.
    wait_until(lambda: counts(gateway)["sardonyx_runs_total"] > before["sardonyx_runs_total"] + len(requests))
    name = "sardonyx_shared_requests_total"
    return counts(gateway)[name] - before[name]


def test_requests_that_come_together_get_the_bits_that_they_get_alone(crowd: GatewayProcess) -> None:
    feeds = [rows(1 + seed % 3, seed) for seed in range(COUNT)]
    answers = together(crowd, [ask("forest", {"inputs": feed.tolist()}) for feed in feeds])
    assert all(is_right(answer, FOREST, feed) for answer, feed in zip(answers, feeds, strict=True))
    assert len({answer.headers["x-request-id"] for answer in answers}) == COUNT


def test_every_way_to_write_a_request_may_be_in_the_crowd(crowd: GatewayProcess) -> None:
    feed = rows(2, 7)
    ways: list[tuple[object, tuple[str, ...]]] = [
        ({"inputs": feed.tolist()}, ()),
        ({"inputs": {"x": feed.tolist()}, "id": "mine"}, ()),
        ({"instances": feed.tolist()}, ()),
        ({"inputs": {"x": {"shape": [2, 4], "data": feed.ravel().tolist()}}}, ()),
        ({"inputs": feed.tolist(), "outputs": ["label", "probabilities"]}, ()),
        ({"inputs": feed.tolist()}, ("X-Request-Id: given",)),
    ]
    answers = together(crowd, [ask("forest", body, *headers) for body, headers in ways * 5])
    assert all(is_right(answer, FOREST, feed) for answer in answers)
    assert [json.loads(answer.body).get("id") for answer in answers[:6]] == [None, "mine", None, None, None, None]
    assert answers[5].headers["x-request-id"] == "given"


def test_whoever_asks_for_something_wrong_is_told_so_alone(crowd: GatewayProcess) -> None:
    feed = rows(1, 5)
    wrong: list[tuple[object, str]] = [
        ({"inputs": [[1, 2, 3]]}, "shape_mismatch"),
        ({"inputs": [[1, 2, 3, "4"]]}, "dtype_mismatch"),
        ({"inputs": [[1, 2, 3, 4], [5, 6]]}, "ragged"),
        ({"inputs": [[1, 2, 3, 1e39]]}, "out_of_range"),
        ({"inputs": []}, "rank_mismatch"),
    ]
    requests = [ask("forest", {"inputs": feed.tolist()})] * 8
    for body, _ in wrong:
        requests += [ask("forest", body), ask("forest", {"inputs": feed.tolist()})]
    answers = together(crowd, requests)
    refused = [answer for answer in answers if answer.status != 200]
    assert sum(is_right(answer, FOREST, feed) for answer in answers) == 8 + len(wrong)
    alone_ = [together(crowd, [ask("forest", body)])[0] for body, _ in wrong]
    assert [told(answer) for answer in refused] == [told(answer) for answer in alone_]


@pytest.mark.parametrize("body", [b'{"inputs":[[1,2,3,4]],"id":"\xff"}', b'{"\xff":1}', b"", b"["])
def test_what_is_no_json_is_one_callers_trouble(crowd: GatewayProcess, body: bytes) -> None:
    feed = rows(1, 6)
    lines = ("Host: localhost", "Content-Type: application/json")
    bad = request_bytes(
        "POST /v1/models/forest/predict HTTP/1.1", *lines, *["Content-Length: 0"] * (not body), body=body
    )
    good = ask("forest", {"inputs": feed.tolist()})
    answers = together(crowd, [*[good] * 6, bad, *[good] * 6])
    assert answers.pop(6).status == 400
    assert all(is_right(answer, FOREST, feed) for answer in answers)


def told(answer: RawAnswer) -> tuple[int, object]:
    return answer.status, {**json.loads(answer.body), "instance": None}


def test_requests_for_several_models_come_together(crowd: GatewayProcess) -> None:
    feed = rows(1, 11)
    answers = together(crowd, [ask(name, {"inputs": feed.tolist()}) for name in ("forest", "logistic") * 10])
    assert all(is_right(answer, FOREST, feed) for answer in answers[::2])
    assert all(is_right(answer, LOGISTIC, feed) for answer in answers[1::2])


def test_runs_are_shared_and_only_where_that_is_proven(crowd: GatewayProcess) -> None:
    body = {"inputs": rows(1, 3).tolist()}
    assert shared_requests(crowd, [ask("logistic", body)] * 20) == 0
    assert shared_requests(crowd, [ask("forest", body)] * 20) >= 16


def test_an_owner_may_switch_it_off(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data") as gateway, gateway.client() as client:
        upload(client, "forest", FOREST.read_bytes())
        client.patch("/registry/models/forest/versions/1", json={"batching": "off"}).raise_for_status()
        feed = rows(1, 2)
        together(gateway, [ask("forest", {"inputs": feed.tolist()})])
        assert shared_requests(gateway, [ask("forest", {"inputs": feed.tolist()})] * 20) == 0


def test_sharing_ends_when_a_shared_run_turns_out_to_differ(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data") as gateway, gateway.client() as client:
        version = upload(client, "forest", models.secretly_mixing())
        assert version["batch_report"]["level"] == "exact"  # no made-up row knows the secret

        def is_off() -> bool:
            together(gateway, [ask("forest", {"inputs": [value]}) for value in (7.0, *[1.0] * 15)], warm=[1.0])
            return bool(client.get("/registry/models/forest/versions/1").json()["batching"] == "off")

        wait_until(is_off)
        answers = together(gateway, [ask("forest", {"inputs": [7.0]}), ask("forest", {"inputs": [1.0]})], warm=[1.0])
        assert [json.loads(answer.body)["outputs"]["y"] for answer in answers] == [[8.0], [1.0]]
        events = client.get("/registry/events").json()["items"]
        assert [(event["kind"], event["actor"], event["detail"]) for event in events][-1] == (
            "version_changed",
            "gateway",
            {"batching": "off"},
        )


def test_answers_of_more_rows_than_their_requests_are_given_whole(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data") as gateway, gateway.client() as client:
        version = upload(client, "forest", models.secretly_growing())
        assert version["batch_report"]["level"] == "exact"  # no made-up row knows the secret
        usual, odd = {"inputs": [[1.0, 2.0]]}, {"inputs": [[7.0, 5.0]], "outputs": ["y"]}
        # One that no other wants the same of, in the company of two; and then all three in one run.
        for bodies in ([usual, odd, usual], [{"inputs": body["inputs"]} for body in (usual, odd, usual)]):
            answers = together(gateway, [ask("forest", body) for body in bodies], warm=[[1.0, 2.0]])
            found = [json.loads(answer.body)["outputs"]["y"] for answer in answers]
            assert found == [[[1.0, 2.0]], [[7.0, 5.0], [7.0, 5.0]], [[1.0, 2.0]]]


def test_a_caller_that_has_gone_leaves_the_others_their_answers(crowd: GatewayProcess) -> None:
    feed = rows(1, 9)
    parts = urlsplit(crowd.url)
    (worker,) = crowd.workers()
    address = (parts.hostname or "", parts.port or 80)
    with socket.create_connection(address, timeout=30) as gone, socket.create_connection(address, timeout=30) as stays:
        for connection in (gone, stays):
            connection.sendall(ask("forest", {"inputs": feed.tolist()}))
            read_answer(connection)
        os.kill(worker, signal.SIGSTOP)
        try:
            for connection in (gone, stays):
                connection.sendall(ask("forest", {"inputs": feed.tolist()}))
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            gone.close()  # with a reset
        finally:
            os.kill(worker, signal.SIGCONT)
        assert is_right(read_answer(stays), FOREST, feed)


def test_a_worker_that_lets_go_ends_every_connection_of_a_shared_run(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data") as gateway, gateway.client() as client, ExitStack() as opened:
        upload(client, "forest", FOREST.read_bytes())
        feed = rows(1, 4)
        request = ask("forest", {"inputs": feed.tolist()})
        parts = urlsplit(gateway.url)
        address = (parts.hostname or "", parts.port or 80)
        connections = [opened.enter_context(socket.create_connection(address, timeout=30)) for _ in range(9)]
        for connection in connections:
            connection.sendall(request)
            assert is_right(read_one(connection), FOREST, feed)
        (worker,) = gateway.workers()
        os.kill(worker, signal.SIGUSR1)

        def lets_go() -> bool:
            connections[0].sendall(request)
            return read_one(connections[0]).headers.get("connection") == "close"

        wait_until(lets_go)
        os.kill(worker, signal.SIGSTOP)
        for connection in connections[1:]:
            connection.sendall(request)
        os.kill(worker, signal.SIGCONT)
        assert all(is_right(read_one(connection), FOREST, feed) for connection in connections[1:])
        assert [connection.recv(1) for connection in connections] == [b""] * 9


def test_a_known_head_may_come_with_anything_behind_it(crowd: GatewayProcess) -> None:
    feeds = [rows(1, seed) for seed in range(4)]
    requests = [ask("forest", {"inputs": feed.tolist()}) for feed in feeds]
    parts = urlsplit(crowd.url)
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=30) as connection:
        for request in requests:  # now their heads are known
            connection.sendall(request)
            read_answer(connection)
        connection.sendall(b"".join(requests))
        answers = [read_one(connection) for _ in requests]
        connection.sendall(requests[0][:-9])
        connection.sendall(requests[0][-9:] + requests[1])
        answers += [read_one(connection) for _ in range(2)]
        connection.sendall(requests[2])
        connection.shutdown(socket.SHUT_WR)
        answers.append(read_one(connection))
    wanted = [*feeds, feeds[0], feeds[1], feeds[2]]
    assert all(is_right(answer, FOREST, feed) for answer, feed in zip(answers, wanted, strict=True))


def read_one(connection: socket.socket) -> RawAnswer:
    """Read one answer and not a byte more."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    fields = dict(line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:-2])
    body = b""
    while len(body) < int(fields["content-length"]):
        body += connection.recv(int(fields["content-length"]) - len(body))
    return RawAnswer(int(head.split()[1]), fields, body)
