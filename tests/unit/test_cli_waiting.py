from collections.abc import Mapping
from typing import Any

import pytest

from gateway.cli.exits import CommandFailed, ExitCode
from gateway.cli.waiting import wait_until_applied


class Scene:
    """Workers that apply one event more each time the clock is waited upon."""

    def __init__(self, *applied: int) -> None:
        self.now = 100.0
        self.applied = list(applied)
        self.stuck: set[int] = set()

    def workers(self) -> list[Mapping[str, Any]]:
        return [{"host": "h", "pid": pid, "applied": applied} for pid, applied in enumerate(self.applied, start=1)]

    def pause(self, seconds: float) -> None:
        self.now += seconds
        self.applied = [applied + (pid not in self.stuck) for pid, applied in enumerate(self.applied, start=1)]

    def wait(self, sequence: int, timeout_seconds: float) -> int:
        return wait_until_applied(
            self.workers,
            sequence=sequence,
            timeout_seconds=timeout_seconds,
            clock=lambda: self.now,
            pause=self.pause,
        )


def test_waiting_ends_when_the_last_worker_has_applied_the_move() -> None:
    scene = Scene(7, 4, 9)

    assert scene.wait(7, 30) == 3
    assert scene.applied == [10, 7, 12]


def test_nobody_waits_where_no_worker_lives() -> None:
    assert Scene().wait(7, 30) == 0


def test_those_who_lag_are_named_when_the_time_is_over() -> None:
    scene = Scene(7, 1, 1)
    scene.stuck = {2, 3}

    with pytest.raises(CommandFailed) as caught:
        scene.wait(7, 1)

    assert caught.value.exit_code is ExitCode.TRY_AGAIN
    assert caught.value.document == {
        "title": "The move is made, but not every worker follows yet",
        "detail": "h:2, h:3",
        "code": "workers_lag",
    }
    assert scene.now == pytest.approx(101, abs=0.2)


def test_without_time_they_are_asked_once() -> None:
    assert Scene(7).wait(7, 0) == 1
