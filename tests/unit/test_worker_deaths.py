"""What the supervisor counts of its workers' ends, as each of them shows it."""

import signal

import pytest

from gateway.metrics import Metrics
from gateway.shared_counts import Board
from gateway.worker_deaths import CAUSES, WorkerDeaths, cause_of, lines_of_deaths

HEADING = [
    "# HELP sardonyx_worker_deaths_total Workers that have died and were replaced, by what ended them",
    "# TYPE sardonyx_worker_deaths_total counter",
]


def shown_by(boards: list[Board], own: int) -> list[str]:
    metrics = Metrics(boards, own)
    metrics.show(lines_of_deaths)
    return [line for line in metrics.render().decode().splitlines() if "worker_deaths" in line]


@pytest.mark.parametrize(
    ("exit_code", "is_hang", "cause"),
    [
        (-signal.SIGKILL, False, "SIGKILL"),
        (-signal.SIGKILL, True, "hang"),
        (-signal.SIGSEGV, False, "SIGSEGV"),
        (-signal.SIGUSR2, False, "other"),
        (-signal.SIGRTMAX, False, "other"),
        (0, False, "exit"),
        (3, False, "exit"),
    ],
    ids=["killed", "ended by its watchdog", "crashed", "a rare signal", "one without a name", "ended", "not started"],
)
def test_a_death_has_one_of_few_causes(exit_code: int, *, is_hang: bool, cause: str) -> None:
    assert cause_of(exit_code, is_hang=is_hang) == cause
    assert cause in CAUSES


def test_every_worker_shows_every_cause_from_the_beginning() -> None:
    deaths = WorkerDeaths()
    boards = [Board.create(), Board.create(), deaths.board]
    deaths.add("SIGSEGV")
    deaths.add("SIGSEGV")
    deaths.add("hang")

    counts = dict.fromkeys(CAUSES, 0.0) | {"SIGSEGV": 2.0, "hang": 1.0}
    lines = [f'sardonyx_worker_deaths_total{{cause="{cause}"}} {count}' for cause, count in sorted(counts.items())]
    assert shown_by(boards, 0) == shown_by(boards, 1) == [*HEADING, *lines]


def test_a_process_without_a_supervisor_shows_no_deaths() -> None:
    assert shown_by([Board.create()], 0) == HEADING
