"""Trying again on this host what another host has tried."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from gateway.documents import DocumentFolder
from gateway.serving.proving import Proving
from registry.batching import Level, unproven
from registry.errors import StorageUnavailable
from registry.records import Inspection, Version
from registry.threads import one_thread
from tests.support.serving_models import make_version, report_on, threads_on, with_threads

ELSEWHERE = make_version("iris", 1, batch=report_on(host="elsewhere"))
HERE = with_threads(make_version("iris", 2, batch=report_on()), threads_on())
OLD = make_version("iris", 3)
OLDER = make_version("iris", 4, batch=report_on())
FOUND = with_threads(make_version(batch=report_on(Level.CLOSE)), threads_on({1: 0.2, 2: 0.1})).inspection


class Line:
    """A line whose trials wait until they may begin."""

    def __init__(self, folder: Path, executor: ThreadPoolExecutor, error: Exception | None = None) -> None:
        self.tried: list[int] = []
        self.told: list[int] = []
        self.may_begin = Event()
        self._error = error
        self.proving = Proving(
            "here", DocumentFolder(folder), self._try, lambda version: self.told.append(version.number), executor
        )

    def _try(self, version: Version) -> Inspection:
        self.may_begin.wait(30)
        self.tried.append(version.number)
        if self._error is not None:
            raise self._error
        return FOUND


def test_what_another_host_or_an_earlier_release_has_inspected_is_tried_here_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        line = Line(tmp_path, executor)
        for version in (ELSEWHERE, HERE, OLD, OLDER, ELSEWHERE):
            line.proving.want(version)
        line.may_begin.set()
    assert (line.tried, line.told) == ([1, 3, 4], [1, 3, 4])
    assert [line.proving.find(it) for it in (ELSEWHERE, HERE, OLDER)] == [FOUND.batch, report_on(), report_on()]
    assert [line.proving.find_threads(it) for it in (ELSEWHERE, HERE, OLDER)] == [
        FOUND.threads,
        threads_on(),
        FOUND.threads,
    ]


def test_what_cannot_be_tried_here_is_so_once_and_for_all(tmp_path: Path) -> None:
    inspected = with_threads(make_version(), None).inspection
    with ThreadPoolExecutor(1) as executor:
        proving = Proving("here", DocumentFolder(tmp_path), lambda _: inspected, lambda _: None, executor)
        proving.want(ELSEWHERE)
    assert proving.find(ELSEWHERE) == unproven("here", "no made-up input is accepted")
    assert proving.find_threads(ELSEWHERE) == one_thread("here", "it could not be tried to its end")


def test_what_a_sibling_has_found_out_is_not_tried_again(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        first = Line(tmp_path, executor)
        first.may_begin.set()
        first.proving.want(ELSEWHERE)
    with ThreadPoolExecutor(1) as executor:
        second = Line(tmp_path, executor)
        second.proving.want(ELSEWHERE)
    assert (second.tried, second.proving.find(ELSEWHERE)) == ([], report_on(Level.CLOSE))
    assert second.proving.find_threads(ELSEWHERE) == FOUND.threads


@pytest.mark.parametrize("error", [StorageUnavailable("away"), RuntimeError("a bug")], ids=["known", "unknown"])
def test_what_fails_is_tried_again_when_it_is_wanted_again(tmp_path: Path, error: Exception) -> None:
    with ThreadPoolExecutor(1) as executor:
        line = Line(tmp_path, executor, error)
        line.may_begin.set()
        line.proving.want(ELSEWHERE)
        executor.submit(lambda: None).result()
        line.proving.want(ELSEWHERE)
    assert (line.tried, line.told, line.proving.find(ELSEWHERE)) == ([1, 1], [], None)


def test_a_document_that_is_damaged_is_none(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        line = Line(tmp_path, executor)
        key = f"{ELSEWHERE.artifact.digest.hex}.here"
        DocumentFolder(tmp_path).put(key, {"report": {"level": "splendid"}, "threads": {"host": "here"}})
        assert (line.proving.find(ELSEWHERE), line.proving.find_threads(ELSEWHERE)) == (None, None)
        DocumentFolder(tmp_path).put(key, {"report": unproven("here", "not tried").as_json()})
        assert line.proving.find(ELSEWHERE) == unproven("here", "not tried")


def test_without_threads_nothing_is_tried(tmp_path: Path) -> None:
    proving = Proving("here", DocumentFolder(tmp_path), lambda _: FOUND, lambda _: None, None)
    proving.want(ELSEWHERE)
    assert proving.find(ELSEWHERE) is None
