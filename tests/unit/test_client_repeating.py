"""What is sent again, and what never is: a server cuts connections, refuses them, or asks to come again."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.client import ApiError, Busy, Client, ConnectionFailed, HttpTransport, RepeatingTransport
from tests.support.gateway_process import wait_until
from tests.support.scaling import scaling_bytes
from tests.support.unreliable_server import CUT, UnreliableServer, answer, open_door, unreliable_server

GET = "GET /registry/models/m"
PROMOTE = "PUT /registry/models/m/aliases/production"
ROLL_BACK = "POST /registry/models/m/aliases/production/rollback"


def problem(status: int, code: str, *headers: str) -> bytes:
    return answer(status, json.dumps({"code": code, "title": code}).encode(), *headers)


class Patience:
    """A clock that goes on by what is waited, and nothing else."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.waits.append(seconds)

    def client(self, server: UnreliableServer, seconds: float = 5.0) -> Client:
        inner = HttpTransport(server.url, timeout_seconds=20)
        repeating = RepeatingTransport(inner=inner, patience_seconds=seconds, sleep=self.sleep, clock=lambda: self.now)
        return Client(transport=repeating)


@pytest.fixture
def patience() -> Patience:
    return Patience()


def test_looking_is_sent_again_where_the_connection_ended_before_its_answer(patience: Patience) -> None:
    with unreliable_server([CUT, answer(200, b'{"name": "m"}')]) as server, patience.client(server) as client:
        assert client.show("m") == {"name": "m"}
        assert (server.asked, patience.waits) == ([GET, GET], [])


def test_half_an_answer_is_none(patience: Patience) -> None:
    half = answer(200, b'{"name": "m"}', "Connection: close")[:-4]
    with unreliable_server([half, answer(200, b'{"name": "m"}')]) as server, patience.client(server) as client:
        assert client.show("m") == {"name": "m"}
        assert server.asked == [GET, GET]


def test_it_is_sent_twice_at_most(patience: Patience) -> None:
    with unreliable_server([CUT, CUT, answer(200)]) as server, patience.client(server) as client:
        with pytest.raises(ConnectionFailed) as caught:
            client.show("m")
        assert (server.asked, caught.value.may_have_arrived) == ([GET, GET], True)


@pytest.mark.parametrize("line", [PROMOTE, ROLL_BACK], ids=["a promotion", "a rollback"])
def test_a_move_is_never_sent_twice(patience: Patience, line: str) -> None:
    with unreliable_server([CUT, answer(200)]) as server, patience.client(server) as client:
        with pytest.raises(ConnectionFailed) as caught:
            client.promote("m", 2) if line == PROMOTE else client.rollback("m")
        assert (server.asked, caught.value.may_have_arrived) == ([line], True)
        assert caught.value.is_outcome_unknown
        assert str(caught.value).endswith("whether it was done is not known: look before you send it again")


@pytest.mark.parametrize("status", [502, 503, 504])
def test_what_became_of_a_move_is_not_known_where_an_intermediary_got_no_answer(
    patience: Patience, status: int
) -> None:
    lost = answer(status, b"<h1>No answer</h1>")
    with unreliable_server([lost, lost]) as server, patience.client(server) as client:
        with pytest.raises(ApiError) as of_move:
            client.rollback("m")
        with pytest.raises(ApiError) as of_look:
            client.show("m")
        assert (server.asked, of_move.value.is_outcome_unknown) == ([ROLL_BACK, GET], True)
        assert not of_look.value.is_outcome_unknown


def test_a_file_whose_answer_is_lost_may_be_registered_again(patience: Patience, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(scaling_bytes(2))
    with unreliable_server([CUT]) as server, patience.client(server) as client:
        with pytest.raises(ConnectionFailed) as caught:
            client.register(tmp_path / "m.onnx", name="m")
        assert (len(server.asked), caught.value.is_outcome_unknown) == (1, False)


@pytest.mark.parametrize("status", [429, 503])
def test_a_move_is_not_sent_again_where_the_gateway_asks_to_come_again(patience: Patience, status: int) -> None:
    busy = problem(status, "registry_busy", "Retry-After: 1")
    with unreliable_server([busy, answer(200)]) as server, patience.client(server) as client:
        with pytest.raises(Busy) as caught:
            client.promote("m", 2)
        assert (server.asked, caught.value.retry_after_seconds) == ([PROMOTE], 1.0)


def test_a_move_whose_connection_was_refused_has_reached_nobody_and_is_sent_once(patience: Patience) -> None:
    with unreliable_server([answer(200, b'{"version": 2}')], is_listening=False) as server:
        doors: list[Any] = []

        def open_after_a_while(seconds: float) -> None:
            patience.now += seconds
            if len(doors) < 2:
                doors.append(open_door(server) if doors else None)

        inner = HttpTransport(server.url)
        repeating = RepeatingTransport(
            inner=inner, patience_seconds=5, sleep=open_after_a_while, clock=lambda: patience.now
        )
        with Client(transport=repeating) as client:
            assert client.promote("m", 2) == {"version": 2}
        assert (server.asked, len(doors)) == ([PROMOTE], 2)


def test_who_is_refused_waits_longer_each_time_and_in_all_no_longer_than_his_patience(patience: Patience) -> None:
    with (
        unreliable_server([], is_listening=False) as server,
        patience.client(server, 5.0) as client,
        pytest.raises(ConnectionFailed) as caught,
    ):
        client.show("m")
    assert not caught.value.may_have_arrived
    assert 3 <= len(patience.waits) <= 8
    assert all(0.05 * 2**n <= wait <= 0.1 * 2**n for n, wait in enumerate(patience.waits[:5]))
    assert sum(patience.waits) <= 5.0


@pytest.mark.parametrize(("status", "code"), [(429, "overloaded"), (503, "registry_busy")])
def test_looking_comes_again_when_the_gateway_says_so(patience: Patience, status: int, code: str) -> None:
    busy = problem(status, code, "Retry-After: 2")
    with unreliable_server([busy, busy, answer(200)]) as server, patience.client(server) as client:
        assert client.show("m") == {}
        assert (server.asked, patience.waits) == ([GET] * 3, [2.0, 2.0])


def test_who_would_have_to_wait_too_long_is_told_at_once(patience: Patience) -> None:
    busy = problem(503, "model_load_failed", "Retry-After: 6")
    with unreliable_server([busy]) as server, patience.client(server) as client:
        with pytest.raises(Busy):
            client.show("m")
        assert (server.asked, patience.waits) == ([GET], [])


@pytest.mark.parametrize(
    ("status", "code", "headers"),
    [
        (503, "model_crashed", ["Retry-After: 1"]),
        (503, "model_out_of_memory", ["Retry-After: 1"]),
        (503, "model_quarantined", ["Retry-After: 1"]),
        (429, "too_many_attempts", ["Retry-After: 1"]),
        (503, "registry_unavailable", []),
        (504, "predict_timeout", ["Retry-After: 1"]),
        (500, "internal_error", ["Retry-After: 1"]),
        (422, "invalid_shape", ["Retry-After: 1"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_would_end_the_same_way_is_not_sent_again(
    patience: Patience, status: int, code: str, headers: list[str]
) -> None:
    with unreliable_server([problem(status, code, *headers)]) as server, patience.client(server) as client:
        with pytest.raises(ApiError):
            client.show("m")
        assert (server.asked, patience.waits) == ([GET], [])


def test_a_body_of_chunks_can_be_sent_once(patience: Patience) -> None:
    with unreliable_server([CUT, answer(200)]) as server, patience.client(server) as client:
        with pytest.raises(ConnectionFailed):
            client.register(b"graph", name="m")
        assert [line.split("?")[0] for line in server.asked] == ["POST /registry/models/m/versions"]


def test_without_patience_only_a_cut_connection_is_replaced(patience: Patience) -> None:
    busy = problem(503, "registry_busy", "Retry-After: 1")
    with unreliable_server([CUT, busy]) as server, patience.client(server, 0) as client:
        with pytest.raises(Busy):
            client.show("m")
        assert (server.asked, patience.waits) == ([GET, GET], [])


def test_a_gateway_that_says_nothing_is_waited_for_once(patience: Patience) -> None:
    with unreliable_server([b"HTTP/1.1 200 Word\r\nContent-Length: 5\r\n\r\n"]) as server:
        inner = HttpTransport(server.url, timeout_seconds=0.05)
        repeating = RepeatingTransport(inner=inner, patience_seconds=5, sleep=patience.sleep)
        with Client(transport=repeating) as client, pytest.raises(ConnectionFailed):
            client.show("m")
        wait_until(lambda: server.asked != [])  # which may be later than the client is done
        assert server.asked == [GET]
