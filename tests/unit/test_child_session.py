"""A version's session in child processes, with real children, each of which is a fork of one that has loaded it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest

from gateway.isolation import origin
from gateway.isolation.origin import Allowance, Origin
from gateway.isolation.session import ChildSession
from gateway.serving.isolated import Work
from gateway.serving.runtime import Cancellation, Session
from registry.errors import (
    DeadlinePassed,
    LoadFailed,
    ModelCrashed,
    ModelOutOfMemory,
    ModelQuarantined,
    Overloaded,
    RunFailed,
    ServiceError,
)
from registry.inspection import starting
from registry.records import Version
from registry.standing import Stage
from tests.e2e.test_runtime_troubles import endless_suppression
from tests.support import models
from tests.support.gateway_process import children_of, wait_until
from tests.support.kernels import has_filters
from tests.support.killers import SMALLEST
from tests.support.serving_models import make_version, write_model

ROOT = Path(__file__).parents[2]
VERSION = make_version("isolated")
ALLOWANCE = Allowance(run_bytes=256 << 20)


class Watcher:
    """Remembers what it is told; says that the version is hopeless after so many deaths."""

    def __init__(self, patience: int = 1_000) -> None:
        self.deaths: list[tuple[str, str]] = []
        self.answers = 0
        self._patience = patience

    def note_death(self, version: Version, *, stage: Stage, cause: str) -> ServiceError | None:
        assert version is VERSION
        self.deaths.append((stage.value, cause))
        return ModelQuarantined("enough") if len(self.deaths) >= self._patience else None

    def note_answer(self, version: Version) -> None:
        assert version is VERSION
        self.answers += 1


@contextmanager
def opened(folder: Path, source: Any, watcher: Watcher | None = None, max_queue: int = 8) -> Iterator[ChildSession]:
    path = folder / "model.onnx"
    path.write_bytes(source if isinstance(source, bytes) else source.SerializeToString())
    session = ChildSession(
        VERSION,
        lambda: Origin(path, None, path.stat().st_size, ALLOWANCE),
        watching=watcher or Watcher(),
        max_queue=max_queue,
    )
    try:
        yield session
    finally:
        if session._is_open:
            session.close()


def begin(session: ChildSession, feed: Any, *, seconds: float = 60, outputs: tuple[str, ...] = ("y",)) -> Work:
    work = Work(feed, outputs, monotonic() + seconds, "caller")
    session.begin(work)
    return work


def answer(session: ChildSession, feed: Any, **more: Any) -> list[Any]:
    return [array.tolist() for array in begin(session, feed, **more).answer.result(60)]


def numbers(*values: int) -> dict[str, Any]:
    return {"x": np.array(values, np.int64)}


def test_it_answers_bit_for_bit_as_a_session_in_this_process(tmp_path: Path) -> None:
    with opened(tmp_path, models.linear()) as session:
        feed = {"x": np.random.default_rng(3).standard_normal((64, 4), np.float32)}
        outputs = ["y"]
        ours = Session.load(tmp_path / "model.onnx").run(outputs, feed, Cancellation())
        theirs = session.run(outputs, feed, Cancellation())
    assert [(array.dtype, array.shape, array.tobytes()) for array in theirs] == [
        (array.dtype, array.shape, array.tobytes()) for array in ours
    ]


def test_a_request_that_kills_its_child_is_told_so_and_the_next_one_is_answered(tmp_path: Path) -> None:
    watcher = Watcher()
    with opened(tmp_path, models.division(-1), watcher) as session:
        for number in (1, 2, 3):
            with pytest.raises(ModelCrashed):
                begin(session, numbers(SMALLEST)).answer.result(60)
            assert answer(session, numbers(number, 7)) == [[-number, -7]]
    assert (watcher.deaths, watcher.answers) == ([("run", "SIGFPE")] * 3, 3)


def test_a_kernel_that_does_not_listen_is_killed_and_its_caller_told_that_it_took_too_long(tmp_path: Path) -> None:
    watcher = Watcher()
    with opened(tmp_path, endless_suppression(), watcher) as session:
        with pytest.raises(DeadlinePassed):
            begin(session, {"n": np.array(800_000)}, seconds=0.3).answer.result(60)
        assert answer(session, {"n": np.array(2)}) == [[2, 3]]
    assert watcher.deaths == [("run", "hang")]


def test_a_run_that_listens_ends_at_its_deadline_without_a_death(tmp_path: Path) -> None:
    watcher = Watcher()
    with opened(tmp_path, models.loop(), watcher) as session, pytest.raises(DeadlinePassed):
        begin(session, {"x": np.ones(1, np.float32)}, seconds=0.3).answer.result(60)
    assert watcher.deaths == []


def test_a_machine_that_stands_still_over_a_deadline_makes_no_death_of_a_run_that_listens(tmp_path: Path) -> None:
    # In a process of its own, so that it is not the tests that stand still.
    imports = "from tests.unit.test_child_session import stand_still_over_a_deadline"
    command = [sys.executable, "-c", f"{imports} as stand; stand({str(tmp_path)!r})"]
    done = subprocess.run(
        command, cwd=ROOT, start_new_session=True, capture_output=True, text=True, timeout=90, check=False
    )
    assert (done.stdout, done.returncode) == ("DeadlinePassed []\n", 0), done.stderr


def stand_still_over_a_deadline(folder: str) -> None:
    """Have this process and its children stand still while a run's deadline passes; the children go on a bit later."""
    watcher = Watcher()
    with opened(Path(folder), models.loop(is_asked=True), watcher) as session:
        answer(session, {"x": np.ones(1, np.float32), "trips": np.array(2)})
        work = begin(session, {"x": np.ones(1, np.float32), "trips": np.array(2**62)}, seconds=2)
        ours, children = os.getpid(), " ".join(map(str, children_of(os.getpid(), "registry.inspection")))
        assert children
        stand_still = f"kill -STOP {children} {ours}; sleep 3; kill -CONT {ours}; sleep 0.1; kill -CONT {children}"
        subprocess.run(["/bin/sh", "-c", stand_still], check=False)
        error = work.answer.exception(60)
    print(type(error).__name__, watcher.deaths)  # noqa: T201 - for whoever has started this process


def test_a_run_whose_caller_has_left_is_stopped_for_whoever_comes_next(tmp_path: Path) -> None:
    with opened(tmp_path, models.loop()) as session:
        left = begin(session, {"x": np.ones(1, np.float32)})
        left.give_up()
        with pytest.raises(DeadlinePassed):
            begin(session, {"x": np.ones(1, np.float32)}, seconds=0.3).answer.result(60)


def test_a_run_that_takes_too_much_memory_is_told_so(tmp_path: Path) -> None:
    feed = {"x": np.ones(1, np.float32), "shape": np.array([1 << 30])}
    with opened(tmp_path, models.expanded_to_request()) as session:
        with pytest.raises(ModelOutOfMemory):
            begin(session, feed).answer.result(60)
        assert answer(session, {**feed, "shape": np.array([2])}) == [[1.0, 1.0]]


def test_a_run_that_collects_without_end_is_told_that_it_took_too_much_memory(tmp_path: Path) -> None:
    with opened(tmp_path, models.loop(collects=True, width=1 << 18)) as session, pytest.raises(ModelOutOfMemory):
        begin(session, {"x": np.ones(1 << 18, np.float32)}, outputs=("y", "steps")).answer.result(60)


def test_a_clean_error_of_the_runtime_is_the_callers_as_in_this_process(tmp_path: Path) -> None:
    gather = write_model(tmp_path, "gather").read_bytes()
    with opened(tmp_path, gather) as session:
        with pytest.raises(RunFailed) as failed:
            begin(session, {"index": np.array([1_000_000])}).answer.result(60)
        assert failed.value.detail == "the runtime could not run the model on these inputs (InvalidArgument)"


def test_a_model_that_is_none_does_not_load(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed), opened(tmp_path, b"no model"):
        pass


def test_a_model_that_kills_whoever_loads_it_does_not_load_and_its_death_is_noted(tmp_path: Path) -> None:
    watcher = Watcher()
    with pytest.raises(LoadFailed), opened(tmp_path, models.folded_division(), watcher):
        pass
    assert watcher.deaths == [("load", "SIGFPE")]


def test_whoever_watches_may_say_that_it_is_enough(tmp_path: Path) -> None:
    with opened(tmp_path, models.division(-1), Watcher(patience=2)) as session:
        outcomes = [type(begin(session, numbers(SMALLEST)).answer.exception(60)) for _ in range(2)]
    assert outcomes == [ModelCrashed, ModelQuarantined]


def test_closing_ends_what_runs_and_whoever_waits(tmp_path: Path) -> None:
    with opened(tmp_path, models.loop()) as session:
        works = [begin(session, {"x": np.ones(1, np.float32)}) for _ in range(3)]
        session.close()
        assert [type(work.answer.exception(60)) for work in works] == [Overloaded] * 3


def test_where_nothing_can_be_forked_each_child_is_an_origin_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origin._FORKS, "start", lambda *_: None)
    monkeypatch.setitem(starting.ENVIRONMENT, "OPENBLAS_NUM_THREADS", "2")  # a process of two threads is not forked
    before = descriptors()
    with opened(tmp_path, models.division(-1)) as session:
        assert answer(session, numbers(1)) == [[-1]]
        for number in (2, 3):
            assert type(begin(session, numbers(SMALLEST)).answer.exception(60)) is ModelCrashed
            assert answer(session, numbers(number)) == [[-number]]
    assert not zombies_of(os.getpid())
    assert descriptors() == before


def test_no_process_and_no_descriptor_is_left_behind(tmp_path: Path) -> None:
    with opened(tmp_path, models.division(-1)) as session:  # the first one starts what all others are forked of
        assert answer(session, numbers(1)) == [[-1]]
    before = descriptors()
    with opened(tmp_path, models.division(-1)) as session:
        for _ in range(3):
            begin(session, numbers(SMALLEST)).answer.exception(60)
    wait_until(lambda: not zombies_of(os.getpid()))
    assert descriptors() == before


def test_an_origin_that_cannot_be_started_again_leaves_the_descriptors_of_others_alone(tmp_path: Path) -> None:
    with opened(tmp_path, models.division(-1)) as session:
        assert answer(session, numbers(1)) == [[-1]]
        for part in (session._child, session._ready, session._origin):
            assert part is not None
            part.close()
        session._child = session._ready = None
        (tmp_path / "model.onnx").write_bytes(b"no model")
        held = []
        for _ in range(3):
            assert isinstance(begin(session, numbers(1)).answer.exception(60), LoadFailed)
            held += [(tmp_path / "model.onnx").open("rb") for _ in range(4)]
    assert [file.read() for file in held] == [b"no model"] * 12
    for file in held:
        file.close()


def test_everybody_who_waits_for_a_version_that_is_given_up_is_told_so_at_once(tmp_path: Path) -> None:
    with opened(tmp_path, models.division(-1), Watcher(patience=1)) as session:
        works = [begin(session, numbers(SMALLEST)) for _ in range(4)]
        assert {type(work.answer.exception(60)) for work in works} == {ModelQuarantined}
        with pytest.raises(Overloaded):
            begin(session, numbers(1))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def zombies_of(pid: int) -> list[str]:
    stats = [text for path in Path("/proc").glob("[0-9]*/stat") if (text := _read(path))]
    fields = [text.rpartition(") ")[2].split() for text in stats]
    return [state for state, parent, *_ in fields if state == "Z" and parent == str(pid)]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


@pytest.mark.skipif(not has_filters(), reason="no filter of system calls can be had here")
def test_who_loads_the_model_is_filtered_as_well_as_who_runs_it(tmp_path: Path) -> None:
    """The runtime runs parts of a model while it loads it."""
    path = write_model(tmp_path, "gather")
    origin = Origin(path, None, path.stat().st_size, ALLOWANCE)
    child = origin.order()
    assert child is not None
    assert child.meet()
    assert child._process is not None
    try:
        filtered = [filters_of(process._pid) - filters_of(os.getpid()) for process in (origin._process, child._process)]
        assert filtered == [1, 2]
    finally:
        child.close()
        origin.close()


def filters_of(pid: int) -> int:
    """How many filters of system calls a process has; whoever started the tests may have some."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Seccomp_filters:"))
