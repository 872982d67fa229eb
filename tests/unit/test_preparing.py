"""The line of versions that wait to be prepared."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

import pytest

from gateway.serving.preparing import Preparing
from registry.errors import StorageUnavailable
from registry.records import Version
from registry.storage import Preparation
from tests.support.serving_models import make_version


def version(number: int, *, memory_bytes: int = 10_000_000, load_seconds: float = 0.1) -> Version:
    made = make_version("iris", number)
    return replace(made, inspection=replace(made.inspection, memory_bytes=memory_bytes, load_seconds=load_seconds))


def ignore(_prepared: Version) -> None: ...


def test_versions_are_prepared_one_after_another_and_each_once_while_it_waits() -> None:
    seen: list[int] = []
    may_begin = Event()

    def prepare(wanted: Version) -> Preparation:
        may_begin.wait(30)
        seen.append(wanted.number)
        return Preparation(memory_bytes=1)

    with ThreadPoolExecutor(1) as executor:
        preparing = Preparing(prepare, ignore, executor)
        for number in (1, 2, 1, 2, 1):
            preparing.want(version(number))
        may_begin.set()
    assert seen == [1, 2]


def test_what_loads_in_a_wink_and_takes_little_is_left_alone() -> None:
    seen: list[int] = []

    def prepare(wanted: Version) -> None:
        seen.append(wanted.number)

    with ThreadPoolExecutor(1) as executor:
        preparing = Preparing(prepare, ignore, executor)
        preparing.want(version(1, memory_bytes=100_000, load_seconds=0.001))
        preparing.want(version(2, memory_bytes=100_000, load_seconds=0.5))
        preparing.want(version(3, memory_bytes=5_000_000, load_seconds=0.001))
    assert seen == [2, 3]


@pytest.mark.parametrize("error", [StorageUnavailable("away"), ZeroDivisionError()], ids=["ours", "anything"])
def test_a_failure_harms_nobody_and_may_be_tried_again(error: Exception) -> None:
    seen: list[int] = []

    def prepare(wanted: Version) -> Preparation:
        seen.append(wanted.number)
        if len(seen) == 1:
            raise error
        return Preparation(reason="the answers differ")

    with ThreadPoolExecutor(1) as executor:
        preparing = Preparing(prepare, ignore, executor)
        preparing.want(version(1))
        preparing.want(version(2))
    with ThreadPoolExecutor(1) as executor:
        Preparing(prepare, ignore, executor).want(version(1))
    assert seen == [1, 2, 1]


def test_what_has_been_prepared_is_told_of_and_what_has_not_is_not() -> None:
    told: list[int] = []

    def prepare(wanted: Version) -> Preparation | None:
        return {1: Preparation(memory_bytes=1), 2: Preparation(reason="the answers differ")}.get(wanted.number)

    with ThreadPoolExecutor(1) as executor:
        preparing = Preparing(prepare, lambda prepared: told.append(prepared.number), executor)
        for number in (1, 2, 3):
            preparing.want(version(number))
    assert (told, preparing.done_count, preparing.failure_count) == ([1], 1, 1)


def test_without_an_executor_nothing_is_prepared() -> None:
    def never(_wanted: Version) -> None:
        raise AssertionError

    Preparing(never, ignore, None).want(version(1))
