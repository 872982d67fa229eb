from collections.abc import Mapping
from typing import Any

import pytest

from gateway.cli.exits import CommandFailed, ExitCode
from gateway.cli.waiting import wait_until_applied
from gateway.client import Busy, ClientError, ConnectionFailed


class Scene:
    """Workers that apply one event more each time the clock is waited upon."""

    def __init__(self, *applied: int) -> None:
        self.now = 100.0
        self.applied = list(applied)
        self.stuck: set[int] = set()
        self.failed: dict[int, list[Mapping[str, Any]]] = {}
        """What a worker says that it cannot apply, by its process id."""
        self.beyond: dict[int, Mapping[str, Any]] = {}
        """What it says of the events behind those."""
        self.away: list[ClientError] = []
        """What is raised instead of answers, the last one first."""

    def workers(self) -> list[Mapping[str, Any]]:
        if self.away:
            raise self.away.pop()
        return [
            {
                "host": "h",
                "pid": pid,
                "applied": applied,
                "failed": self.failed.get(pid, []),
                **self.beyond.get(pid, {}),
            }
            for pid, applied in enumerate(self.applied, start=1)
        ]

    def fail(self, pid: int, sequence: int, code: str) -> None:
        """Have a worker say that it cannot apply an event, and stop there."""
        self.stuck.add(pid)
        switch = {"sequence": sequence, "model": "iris", "alias": "production", "version": 2, "code": code}
        self.failed.setdefault(pid, []).append(switch)

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


AWAY = ConnectionFailed("no gateway answered at http://h: Connection refused")
BUSY = Busy(status=503, document={"title": "The registry is away", "code": "registry_unavailable"})


def test_a_gateway_that_goes_away_and_comes_back_is_waited_for() -> None:
    scene = Scene(7, 4)
    scene.away = [BUSY, AWAY, AWAY]

    assert scene.wait(7, 30) == 2


def test_those_seen_last_are_named_where_nobody_answers_at_the_end() -> None:
    scene = Scene(7, 6)
    scene.stuck = {2}
    seen = scene.workers()

    def once() -> list[Mapping[str, Any]]:
        if scene.now > 100:
            raise AWAY
        return seen

    with pytest.raises(CommandFailed) as caught:
        wait_until_applied(once, sequence=7, timeout_seconds=1, clock=lambda: scene.now, pause=scene.pause)

    assert (caught.value.exit_code, caught.value.document) == (
        ExitCode.TRY_AGAIN,
        {
            "title": "The move is made, but not every worker follows yet",
            "detail": "h:2; no gateway answered at http://h: Connection refused",
            "code": "workers_lag",
        },
    )


# --- workers that cannot follow ---------------------------------------------------------------------------------------


def refusal_of(scene: Scene, sequence: int, timeout_seconds: float) -> CommandFailed:
    with pytest.raises(CommandFailed) as caught:
        scene.wait(sequence, timeout_seconds)
    return caught.value


def test_a_worker_that_cannot_follow_ends_the_waiting_and_is_named_with_its_trouble() -> None:
    scene = Scene(7, 6, 6)
    scene.stuck = {2}
    scene.fail(3, 7, "model_load_failed")

    refused = refusal_of(scene, 7, 30)

    assert refused.exit_code is ExitCode.FAILED
    assert refused.document == {
        "title": "The move is made, but a worker cannot follow and goes on as before",
        "detail": "h:3 (model_load_failed)",
        "code": "workers_failed",
    }
    assert scene.now == 100.0


def test_every_worker_that_cannot_follow_is_named() -> None:
    scene = Scene(6, 6)
    scene.fail(1, 7, "model_load_failed")
    scene.fail(2, 7, "artifact_missing")

    assert refusal_of(scene, 7, 30).document["detail"] == "h:1 (model_load_failed), h:2 (artifact_missing)"


def test_a_worker_follows_though_it_is_stuck_with_something_else() -> None:
    scene = Scene(9, 4)
    scene.fail(2, 5, "model_load_failed")
    scene.beyond[2] = {"read": 8, "pending": [5, 6]}

    assert scene.wait(7, 0) == 2
    assert scene.now == 100.0


@pytest.mark.parametrize("sequence", [6, 9], ids=["pending", "not read yet"])
def test_a_worker_that_is_stuck_may_lag_with_others_too(sequence: int) -> None:
    scene = Scene(9, 4)
    scene.fail(2, 5, "model_load_failed")
    scene.beyond[2] = {"read": 8, "pending": [5, 6]}

    assert refusal_of(scene, sequence, 1).document["detail"] == "h:2"


@pytest.mark.parametrize(
    "code",
    ["storage_unavailable", "insufficient_storage", "registry_unavailable", "registry_busy", "overloaded"],
)
def test_trouble_that_passes_is_waited_for_and_named_when_the_time_is_over(code: str) -> None:
    scene = Scene(7, 6)
    scene.fail(2, 7, code)

    refused = refusal_of(scene, 7, 1)

    assert refused.exit_code is ExitCode.TRY_AGAIN
    assert refused.document == {
        "title": "The move is made, but not every worker follows yet",
        "detail": f"h:2 ({code})",
        "code": "workers_lag",
    }
    assert scene.now == pytest.approx(101, abs=0.2)


def test_trouble_that_has_passed_is_no_trouble() -> None:
    scene = Scene(6)
    scene.failed[1] = [{"sequence": 7, "code": "storage_unavailable"}]

    assert scene.wait(7, 30) == 1


def test_a_failure_that_comes_while_others_are_waited_for_ends_the_waiting() -> None:
    scene = Scene(1, 6)
    scene.stuck = {1}
    workers = scene.workers

    def fail_later() -> list[Mapping[str, Any]]:
        if scene.now > 102:
            scene.failed[1] = [{"sequence": 7, "code": "model_load_failed"}]
        return workers()

    with pytest.raises(CommandFailed) as caught:
        wait_until_applied(fail_later, sequence=7, timeout_seconds=30, clock=lambda: scene.now, pause=scene.pause)

    assert (caught.value.exit_code, caught.value.document["detail"]) == (ExitCode.FAILED, "h:1 (model_load_failed)")
    assert scene.now == pytest.approx(102, abs=0.2)


def test_what_a_worker_cannot_apply_of_other_moves_does_not_count() -> None:
    scene = Scene(8, 3)
    scene.failed = {
        1: [{"sequence": 9, "code": "model_load_failed"}],
        2: [{"sequence": 4, "code": "model_load_failed"}, {"sequence": 9, "code": "model_load_failed"}],
    }

    assert scene.wait(7, 30) == 2


def test_a_worker_of_an_earlier_release_says_nothing_of_failures() -> None:
    scene = Scene(6)
    scene.stuck = {1}

    with pytest.raises(CommandFailed) as caught:
        wait_until_applied(
            lambda: [{"host": "h", "pid": 1, "applied": 6}],
            sequence=7,
            timeout_seconds=1,
            clock=lambda: scene.now,
            pause=scene.pause,
        )

    assert caught.value.document["detail"] == "h:1"
