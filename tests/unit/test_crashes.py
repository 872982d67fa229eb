"""What the registry keeps of a crash: where the version runs from then on, and one event for each fact."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from registry.crashes import Crashes
from registry.errors import ModelNotFound, ServiceError, VersionNotFound, VersionRetired
from registry.events import Event, EventKind
from registry.records import Version
from registry.retirement import Retirement
from registry.standing import Death, Isolation, Stage, Standing
from tests.support.registries import NOON, Bench, fresh_bench

CRASH = Death(where=Isolation.IN_PROCESS, stage=Stage.RUN, cause="SIGFPE", is_certain=True, host="one")
OF_CHILD = replace(CRASH, where=Isolation.ISOLATED, stage=Stage.LOAD, cause="hang", host="two")
SUSPICION = replace(CRASH, is_certain=False)
REASON = "SIGFPE ended a worker during a run"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with fresh_bench(tmp_path) as opened:
        opened.register_versions("iris", 2)
        Retirement(opened.registry, opened.clock).retire("iris", 2, actor="ada")
        yield opened


@pytest.fixture
def crashes(bench: Bench) -> Crashes:
    return Crashes(bench.registry, bench.clock)


def events(bench: Bench) -> list[Event]:
    """Return what is in the feed since the bench was ready."""
    with bench.registry.reading() as catalog:
        return list(catalog.list_events(after=3, limit=100))


def found(bench: Bench) -> Version | None:
    with bench.registry.reading() as catalog:
        return catalog.find_version("iris", 1)


def event(sequence: int, kind: EventKind, **detail: Any) -> Event:
    return Event(
        sequence=sequence, kind=kind, model="iris", version=1, alias=None, actor="worker", at=NOON, detail=detail
    )


def test_the_first_death_leaves_two_facts(bench: Bench, crashes: Crashes) -> None:
    version = crashes.record_death("iris", 1, death=CRASH, actor="worker")
    assert version.standing == Standing(isolation=Isolation.ISOLATED, deaths=1, is_on_probation=True, reason=REASON)
    assert found(bench) == version
    assert events(bench) == [
        event(
            4,
            EventKind.VERSION_CRASHED,
            where="in_process",
            stage="run",
            cause="SIGFPE",
            certain=True,
            deaths=1,
            host="one",
        ),
        event(5, EventKind.VERSION_ISOLATED, isolation="isolated", deaths=1, on_probation=True, reason=REASON),
    ]


def test_a_death_of_its_child_is_one_fact(bench: Bench, crashes: Crashes) -> None:
    crashes.record_death("iris", 1, death=CRASH, actor="worker")
    version = crashes.record_death("iris", 1, death=OF_CHILD, actor="worker")
    assert version.standing == Standing(
        isolation=Isolation.ISOLATED, deaths=2, reason="hang ended its child during a load"
    )
    assert events(bench)[2:] == [
        event(
            6,
            EventKind.VERSION_CRASHED,
            where="isolated",
            stage="load",
            cause="hang",
            certain=True,
            deaths=2,
            host="two",
        )
    ]


def test_a_suspicion_isolates_once(bench: Bench, crashes: Crashes) -> None:
    for _ in range(2):
        version = crashes.record_death("iris", 1, death=SUSPICION, actor="worker")
    assert (version.standing.isolation, version.standing.deaths) == (Isolation.ISOLATED, 0)
    assert [each.kind for each in events(bench)] == [EventKind.VERSION_CRASHED, EventKind.VERSION_ISOLATED]


def test_a_probation_ends_once(bench: Bench, crashes: Crashes) -> None:
    crashes.record_death("iris", 1, death=CRASH, actor="worker")
    for _ in range(2):
        version = crashes.end_probation("iris", 1, actor="worker")
    assert version.standing == Standing(deaths=1)
    assert events(bench)[2:] == [
        event(
            6,
            EventKind.VERSION_CLEARED,
            by="probation",
            isolation="in_process",
            deaths=1,
            on_probation=False,
            reason="",
        )
    ]


def test_a_quarantine_begins_once_and_an_admin_ends_it_once(bench: Bench, crashes: Crashes) -> None:
    for _ in range(2):
        quarantined = crashes.quarantine("iris", 1, reason="it ends every child", actor="worker")
    for _ in range(2):
        cleared = crashes.clear("iris", 1, actor="worker")
    assert quarantined.standing == Standing(isolation=Isolation.QUARANTINED, reason="it ends every child")
    assert cleared.standing == Standing()
    assert events(bench) == [
        event(
            4,
            EventKind.VERSION_QUARANTINED,
            isolation="quarantined",
            deaths=0,
            on_probation=False,
            reason="it ends every child",
        ),
        event(
            5, EventKind.VERSION_CLEARED, by="admin", isolation="in_process", deaths=0, on_probation=False, reason=""
        ),
    ]


def test_words_from_elsewhere_are_cut(bench: Bench, crashes: Crashes) -> None:
    crashes.record_death("iris", 1, death=replace(CRASH, cause="x" * 10_000), actor="worker")
    crashes.quarantine("iris", 1, reason="y" * 10_000, actor="worker")
    quarantined = found(bench)
    assert quarantined is not None
    assert (len(events(bench)[0].detail["cause"]), len(quarantined.standing.reason)) == (256, 256)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda crashes, *of: crashes.record_death(*of, death=CRASH, actor="worker"), id="a death"),
        pytest.param(lambda crashes, *of: crashes.end_probation(*of, actor="worker"), id="the end of a probation"),
        pytest.param(lambda crashes, *of: crashes.quarantine(*of, reason="", actor="worker"), id="a quarantine"),
        pytest.param(lambda crashes, *of: crashes.clear(*of, actor="worker"), id="an admin's word"),
    ],
)
@pytest.mark.parametrize(
    ("model", "number", "error"),
    [
        pytest.param("nosuch", 1, ModelNotFound, id="unknown model"),
        pytest.param("iris", 9, VersionNotFound, id="unknown version"),
        pytest.param("iris", 2, VersionRetired, id="retired version"),
    ],
)
def test_what_is_not_there_cannot_stand_anywhere(
    bench: Bench, crashes: Crashes, call: Callable[..., Version], model: str, number: int, error: type[ServiceError]
) -> None:
    with pytest.raises(error):
        call(crashes, model, number)
    assert events(bench) == []
