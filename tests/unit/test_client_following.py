from collections.abc import Mapping
from typing import Any

import pytest

from gateway.client import Busy, ClientError, ConnectionFailed, MoveNotFollowed
from gateway.client.following import wait_until_followed

Worker = Mapping[str, Any]


def worker(pid: int, applied: int, **more: Any) -> Worker:
    return {"host": "h", "pid": pid, "applied": applied, **more}


def following(*answers: list[Worker] | ClientError, seconds: float = 10.0) -> int:
    """Wait for event 7; each look takes a second."""
    looks, moments = iter(answers), iter(range(1000))

    def look() -> list[Worker]:
        found = next(looks)
        if isinstance(found, ClientError):
            raise found
        return found

    return wait_until_followed(look, 7, timeout_seconds=seconds, clock=lambda: next(moments), pause=lambda _: None)


def test_it_is_over_when_nobody_lags() -> None:
    assert following([worker(1, 6), worker(2, 7)], [worker(1, 8), worker(2, 7)]) == 2


def test_where_no_worker_runs_there_is_nobody_to_wait_for() -> None:
    assert following([]) == 0


def test_who_has_passed_it_follows_though_something_older_is_left() -> None:
    assert following([worker(1, 5, read=9, pending=[6])]) == 1


def test_when_the_time_is_over_those_that_lag_are_named_with_their_trouble() -> None:
    lagging = worker(1, 5, read=9, pending=[7], failed=[{"sequence": 7, "code": "model_load_failed"}])
    with pytest.raises(MoveNotFollowed) as caught:
        following(*([lagging, worker(2, 6), worker(3, 7)] for _ in range(9)), seconds=5)
    assert list(caught.value.workers) == ["h:1 (model_load_failed)", "h:2"]


def test_it_looks_once_even_without_time() -> None:
    with pytest.raises(MoveNotFollowed):
        following([worker(1, 6)], seconds=0)


AWAY = ConnectionFailed("no gateway answered")
BUSY = Busy(status=503, document={"title": "The registry is away", "code": "registry_unavailable"})


def test_a_gateway_that_is_away_for_a_while_is_waited_for() -> None:
    assert following([worker(1, 6)], AWAY, BUSY, [worker(1, 7)]) == 1


def test_those_seen_last_are_named_where_nobody_answers_at_the_end() -> None:
    with pytest.raises(MoveNotFollowed) as caught:
        following([worker(1, 6)], AWAY, AWAY, AWAY, seconds=2)
    assert (list(caught.value.workers), caught.value.trouble) == (["h:1"], "no gateway answered")
    assert str(caught.value).endswith("follows yet: h:1; no gateway answered")
