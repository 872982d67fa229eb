"""HTTP as clients rely on it, on the ordinary path and on the short cut of ``gateway.web.fast_path`` alike."""

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest

from tests.support import models
from tests.support.gateway_process import STOP_SECONDS, GatewayProcess, children_of, running_gateway, wait_until
from tests.support.raw_http import RawAnswer, read_answer, request_bytes
from tests.support.uploads import upload

PATH = "/v1/models/same/predict"
COUNTING = "/v1/models/counting/predict"
"""Of a model whose runs are never made on the event loop, however small they are."""


@pytest.fixture(scope="module")
def warm(gateway: GatewayProcess) -> GatewayProcess:
    """A gateway whose model is loaded and known, so that the short cut is taken where it may be."""
    with gateway.client() as client:
        upload(client, "same", models.identity())
        upload(client, "slow", models.wide_linear(1024, 8))
        upload(client, "counting", models.loop(trips=1000))
        for _ in range(3):
            assert client.post(COUNTING, json={"inputs": [0]}).status_code == 200
        for _ in range(3):
            assert client.post(PATH, json={"inputs": [1.5]}).status_code == 200
    return gateway


@pytest.fixture
def wire(warm: GatewayProcess) -> Iterator[socket.socket]:
    with connected(warm) as connection:
        yield connection


def connected(gateway: GatewayProcess) -> socket.socket:
    parts = urlsplit(gateway.url)
    return socket.create_connection((parts.hostname or "", parts.port or 80), timeout=30)


def predict(value: float, *headers: str, path: str = PATH, version: str = "1.1") -> bytes:
    body = json.dumps({"inputs": [value]}).encode()
    line = f"POST {path} HTTP/{version}"
    return request_bytes(line, "Host: localhost", "Content-Type: application/json", *headers, body=body)


def value_of(answer: RawAnswer) -> float:
    assert answer.status == 200, answer.body
    (value,) = json.loads(answer.body)["outputs"]["y"]
    return float(value)


class Answers:
    """Answers read one after the other off one connection, however they are cut into packets."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rb")

    def next(self) -> RawAnswer:
        status = int(self._file.readline().split(b" ")[1])
        headers = {}
        while (line := self._file.readline().decode("latin-1").strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return RawAnswer(status, headers, self._file.read(int(headers.get("content-length", 0))))

    def at_end(self) -> bool:
        return self._file.read(1) == b""


def test_one_connection_serves_many_requests(wire: socket.socket) -> None:
    for number in range(50):
        wire.sendall(predict(number))
        assert value_of(read_answer(wire)) == number


def test_pipelined_requests_are_answered_in_order(wire: socket.socket) -> None:
    wire.sendall(b"".join(predict(number) for number in range(20)))
    answers = Answers(wire)
    assert [value_of(answers.next()) for _ in range(20)] == list(range(20))


def test_an_answer_never_overtakes_a_slow_one_before_it(wire: socket.socket) -> None:
    row = json.dumps({"inputs": [[0.0] * 1024] * 64}).encode()
    slow = request_bytes("POST /v1/models/slow/predict HTTP/1.1", "Host: localhost", body=row)
    wire.sendall(predict(1) + slow + predict(2))
    answers = Answers(wire)
    first, second, third = answers.next(), answers.next(), answers.next()
    assert (value_of(first), json.loads(second.body)["model"], value_of(third)) == (1, "slow", 2)


BEHIND: dict[str, tuple[bytes, Callable[[RawAnswer], bool]]] = {
    "the same again": (predict(2, path=COUNTING), lambda answer: value_of(answer) == 1002),
    "another model": (predict(2, "X-Request-Id: two"), lambda answer: answer.headers["x-request-id"] == "two"),
    "no predict at all": (
        request_bytes("GET /health/live HTTP/1.1", "Host: localhost"),
        lambda answer: answer.status == 200,
    ),
    "the last one": (predict(2, "Connection: close"), lambda answer: value_of(answer) == 2),
    "another host": (predict(2).replace(b"Host: localhost", b"Host: example.org"), lambda answer: answer.status == 403),
}


@pytest.mark.parametrize("name", BEHIND)
def test_a_request_that_waits_is_not_taken_for_the_one_behind_it(wire: socket.socket, name: str) -> None:
    behind, is_right = BEHIND[name]
    wire.sendall(predict(1, "X-Request-Id: one", path=COUNTING) + behind)
    answers = Answers(wire)
    first, second = answers.next(), answers.next()
    assert (value_of(first), first.headers["x-request-id"]) == (1001, "one")
    assert is_right(second)


@pytest.mark.parametrize("name", BEHIND)
def test_what_comes_while_a_long_run_goes_on_is_answered_after_it(
    warm: GatewayProcess, wire: socket.socket, name: str
) -> None:
    behind, is_right = BEHIND[name]
    answers = Answers(wire)
    with connected(warm) as other:
        for _ in range(5):
            wire.sendall(predict(1, path=COUNTING))
            other.sendall(predict(3))
            assert value_of(read_answer(other)) == 3  # so the request has come, and its run has begun or is over
            wire.sendall(predict(2, path=COUNTING))
            assert [value_of(answers.next()) for _ in range(2)] == [1001, 1002]
        wire.sendall(predict(1, path=COUNTING))
        other.sendall(predict(3))
        read_answer(other)
    wire.sendall(behind)
    assert value_of(answers.next()) == 1001
    assert is_right(answers.next())


def test_a_new_connection_may_begin_with_a_head_that_others_have_sent(warm: GatewayProcess) -> None:
    request = predict(1, path=COUNTING)
    for _ in range(3):
        with connected(warm) as connection:
            connection.sendall(request)
            assert value_of(read_answer(connection)) == 1001


def test_a_request_that_waits_is_answered_although_half_a_head_follows(wire: socket.socket) -> None:
    wire.sendall(predict(1, path=COUNTING) + predict(2)[:30])
    answers = Answers(wire)
    assert value_of(answers.next()) == 1001
    wire.sendall(predict(2)[30:])
    assert value_of(answers.next()) == 2


def test_a_body_may_come_byte_by_byte(wire: socket.socket) -> None:
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in predict(2.5):
        wire.sendall(bytes([byte]))
    assert value_of(read_answer(wire)) == 2.5


def test_large_bodies_are_answered_in_their_turn(wire: socket.socket) -> None:
    values = [float(number) for number in range(20_000)]
    fine, faulty = (json.dumps({"inputs": inputs}).encode() for inputs in (values, [*values, "a"]))
    line = f"POST {PATH} HTTP/1.1", "Host: localhost", "Content-Type: application/json"
    octets = request_bytes(*line, body=fine) + request_bytes(*line, body=faulty) + predict(2.5)
    sending = Thread(target=wire.sendall, args=(octets,))
    sending.start()
    answers = Answers(wire)
    first, second, third = answers.next(), answers.next(), answers.next()
    sending.join()
    assert (first.status, json.loads(first.body)["outputs"]["y"]) == (200, values)
    assert (second.status, json.loads(second.body)["code"]) == (422, "invalid_dtype")
    assert value_of(third) == 2.5


def test_a_chunked_body_is_read(wire: socket.socket) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire.sendall(head.encode() + b'9\r\n{"inputs"\r\n8\r\n: [3.5]}\r\n0\r\n\r\n')
    assert value_of(read_answer(wire)) == 3.5


def test_what_follows_a_chunked_body_is_no_header(wire: socket.socket) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire.sendall(head.encode() + b'11\r\n{"inputs": [3.5]}\r\n0\r\nX-Request-Id: mine\r\nHost: evil.example\r\n\r\n')
    answer = read_answer(wire)
    assert value_of(answer) == 3.5
    assert answer.headers["x-request-id"] != "mine"


def test_a_client_that_expects_100_continue_gets_it(wire: socket.socket) -> None:
    request = predict(4.5, "Expect: 100-continue")
    head, _, body = request.partition(b"\r\n\r\n")
    wire.sendall(head + b"\r\n\r\n")
    answers = Answers(wire)
    assert answers.next().status == 100
    wire.sendall(body)
    assert value_of(answers.next()) == 4.5


@pytest.mark.parametrize(
    "request_", [predict(5.5, "Connection: close"), predict(5.5, version="1.0")], ids=["asked for", "HTTP/1.0"]
)
def test_a_connection_that_is_not_kept_is_closed_after_the_answer(wire: socket.socket, request_: bytes) -> None:
    wire.sendall(request_)
    answers = Answers(wire)
    assert (value_of(answers.next()), answers.at_end()) == (5.5, True)


def test_a_kept_connection_may_be_asked_for(wire: socket.socket) -> None:
    for value in (6.5, 7.5):
        wire.sendall(predict(value, "Connection: keep-alive"))
        assert value_of(read_answer(wire)) == value


def test_both_paths_answer_with_the_same_headers(wire: socket.socket) -> None:
    wire.sendall(predict(8.5, "X-Request-Id: mine"))
    short = read_answer(wire)
    wire.sendall(predict(8.5, "X-Request-Id: mine", "Content-Encoding: identity"))
    ordinary = read_answer(wire)
    short.headers.pop("date")
    ordinary.headers.pop("date")
    assert short == ordinary
    assert short.headers["x-request-id"] == "mine"


def test_both_paths_refuse_with_the_same_problem(wire: socket.socket) -> None:
    body = b'{"inputs": [true]}'
    answers = []
    for more in ([], ["Content-Encoding: identity"]):
        line = f"POST {PATH} HTTP/1.1"
        wire.sendall(request_bytes(line, "Host: localhost", "X-Request-Id: mine", *more, body=body))
        answers.append(read_answer(wire))
    short, ordinary = answers
    short.headers.pop("date")
    ordinary.headers.pop("date")
    assert short == ordinary
    assert (short.status, json.loads(short.body)["code"]) == (422, "invalid_dtype")


def test_a_client_that_leaves_in_the_middle_of_a_body_harms_nobody(warm: GatewayProcess, wire: socket.socket) -> None:
    with connected(warm) as leaving:
        leaving.sendall(predict(1)[:-5])
    wire.sendall(predict(9.5))
    assert value_of(read_answer(wire)) == 9.5


def test_a_client_that_leaves_in_the_middle_of_an_upload_is_nobody_s_mistake(warm: GatewayProcess) -> None:
    def said() -> list[tuple[str, int | None, str | None]]:
        lines = [line for line in warm.log_lines() if line.get("request_id") == "leaving"]
        return [(line["event"], line.get("status"), line.get("code")) for line in lines]

    head = request_bytes(
        "POST /registry/models/cut/versions HTTP/1.1",
        "Host: localhost",
        "X-Request-Id: leaving",
        "Content-Type: application/octet-stream",
        "Transfer-Encoding: chunked",
    )
    with connected(warm) as leaving:
        leaving.sendall(head + b"4\r\n\x08\x08\x3a\x00\r\n")
    wait_until(lambda: bool(said()))
    assert said() == [("request", 499, "client_gone")]


def test_a_client_that_reads_nothing_holds_up_nobody_else(warm: GatewayProcess, wire: socket.socket) -> None:
    with connected(warm) as deaf:
        deaf.setblocking(False)
        try:
            for number in range(200_000):
                deaf.send(predict(number))
        except BlockingIOError:
            pass
        wire.sendall(predict(10.5))
        assert value_of(read_answer(wire)) == 10.5


def test_a_half_sent_request_is_answered_when_the_gateway_ends(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data") as gateway:
        with gateway.client() as client:
            upload(client, "same", models.identity())
            for _ in range(3):
                client.post(PATH, json={"inputs": [1.5]})
        with connected(gateway) as half:
            half.sendall(predict(11.5)[:-5])
            with connected(gateway) as other:  # its answer says that the half request has arrived as well
                other.sendall(predict(1))
                read_answer(other)
            (worker,) = children_of(gateway.process.pid, "gateway.worker")
            os.kill(gateway.process.pid, signal.SIGTERM)
            half.sendall(predict(11.5)[-5:])
            assert value_of(read_answer(half)) == 11.5
        assert gateway.process.wait(STOP_SECONDS) == 0
        assert not Path(f"/proc/{worker}").exists()


OFFER = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk")
"""What Java's HTTP client says first."""


@pytest.mark.parametrize("path", [PATH, "/models/same@nosuch/validate", "/registry/blobs/nosuch"])
def test_an_offer_to_upgrade_changes_nothing(wire: socket.socket, path: str) -> None:
    wire.sendall(predict(1.5, path=path))
    plain = read_answer(wire)
    wire.sendall(predict(1.5, *OFFER, path=path))
    offered = read_answer(wire)
    assert (offered.status, sorted(offered.headers)) == (plain.status, sorted(plain.headers))
    wire.sendall(predict(2.5))
    assert value_of(read_answer(wire)) == 2.5


def test_an_offer_to_upgrade_may_come_in_pieces_with_others_behind_it(wire: socket.socket) -> None:
    head, _, body = predict(1.5, *OFFER).partition(b"\r\n\r\n")
    wire.sendall(head[:40])
    wire.sendall(head[40:] + b"\r\n\r\n" + body[:5])
    wire.sendall(body[5:] + predict(2.5, *OFFER) + predict(3.5))
    answers = Answers(wire)
    assert [value_of(answers.next()) for _ in range(3)] == [1.5, 2.5, 3.5]


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"hello\r\n\r\n", 400, "malformed_request"),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400, "malformed_request"),
        (b"CONNECT elsewhere:443 HTTP/1.1\r\nHost: elsewhere\r\n\r\n", 400, "malformed_request"),
        (b"GET /" + b"x" * 70_000, 431, "head_too_large"),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000, 431, "head_too_large"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000, 431, "head_too_large"),
    ],
    ids=["words", "TLS", "proxy", "long path", "long header", "many headers"],
)
def test_what_cannot_be_read_is_refused_with_a_problem(
    warm: GatewayProcess, wire: socket.socket, sent: bytes, status: int, code: str
) -> None:
    wire.sendall(sent)
    answers = Answers(wire)
    refusal = answers.next()
    problem = json.loads(refusal.body)
    assert (refusal.status, problem["code"], problem["instance"]) == (status, code, refusal.headers["x-request-id"])
    assert answers.at_end()
    with connected(warm) as other:
        other.sendall(predict(4.5))
        assert value_of(read_answer(other)) == 4.5
