"""Which loaded versions the workers' page shows, and with which bytes."""

from collections.abc import Callable

from gateway.web.console.workers_page import Resident, list_residents
from registry.records import WorkerReport
from registry.roles import Caller, Role
from tests.support.registries import NOON

ADMIN = Caller(name="ada", role=Role.ADMIN)


def report(pid: int, *resident: str) -> WorkerReport:
    return WorkerReport(host="here", pid=pid, applied=7, resident=resident, reported_at=NOON)


def recorded(**sizes: int) -> Callable[[str, int], int | None]:
    return lambda model, _: sizes.get(model)


def test_what_is_loaded_elsewhere_has_the_bytes_that_were_recorded() -> None:
    workers = [report(1, "here:1", "both:2"), report(2, "both:2", "there:3", "gone:4")]

    shown = list_residents(workers, {"here:1": 10, "both:2": 20}, ADMIN, recorded(here=1, both=2, there=15))

    assert shown == (
        [
            Resident(model="both", version="2", workers=2, size_bytes=20),
            Resident(model="there", version="3", workers=1, size_bytes=15, is_recorded=True),
            Resident(model="here", version="1", workers=1, size_bytes=10),
            Resident(model="gone", version="4", workers=1, size_bytes=None, is_recorded=True),
        ],
        0,
    )


def test_a_version_that_has_not_been_reported_yet_is_loaded_by_nobody_else() -> None:
    shown = list_residents([report(1)], {"new:1": 10}, ADMIN, recorded())

    assert shown == ([Resident(model="new", version="1", workers=0, size_bytes=10)], 0)


def test_nobody_is_asked_for_what_is_not_shown() -> None:
    asked: list[str] = []
    names = [f"m{number:03}:1" for number in range(600)]

    shown, more = list_residents([report(1, *names)], {"m599:1": 1}, ADMIN, lambda model, _: asked.append(model))

    assert (len(shown), more, asked) == (500, 100, [f"m{number:03}" for number in range(499)])
    assert shown[0] == Resident(model="m599", version="1", workers=1, size_bytes=1)


def test_a_caller_sees_no_more_than_is_theirs() -> None:
    caller = Caller(name="bob", role=Role.PREDICT, models="mine-*")

    shown = list_residents([report(1, "mine-a:1", "yours:1")], {"yours:1": 5}, caller, recorded(yours=5))

    assert shown == ([Resident(model="mine-a", version="1", workers=1, size_bytes=None, is_recorded=True)], 0)
