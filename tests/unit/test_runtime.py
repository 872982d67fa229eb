import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as native

from gateway.serving import runtime
from gateway.serving.runtime import RUNTIME_ERRORS, Cancellation, Session
from registry.errors import DeadlinePassed, LoadFailed, OutputNotText, RunFailed
from registry.threads import ThreadRule
from tests.support.gateway_process import wait_until
from tests.support.serving_models import write_model

ROWS = np.random.default_rng(7).normal(size=(5, 4)).astype(np.float32)
FOR_EVER = {"trips": np.array(2**62, np.int64)}


def test_answers_have_the_bits_of_a_plain_session(tmp_path: Path) -> None:
    path = write_model(tmp_path, "classifier")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    plain = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = ("label", "probabilities")
    answer = Session.load(path).run(names, {"x": ROWS}, Cancellation())
    wanted = plain.run(list(names), {"x": ROWS})
    assert [(a.dtype, a.shape, a.tobytes()) for a in answer] == [(w.dtype, w.shape, w.tobytes()) for w in wanted]


TRIED, UNTRIED = {"x": ROWS}, {"x": ROWS[:3]}
RULE = ThreadRule(threads=3, shapes=frozenset({((5, 4),)}))


class Threads:
    """Those that this process has beside the ones that it had when this was made."""

    def __init__(self) -> None:
        self._before = self._all()

    def _all(self) -> set[str]:
        return {task.name for task in Path("/proc/self/task").iterdir()}

    def count(self) -> int:
        return len(self._all() - self._before)

    def wait_until_gone(self) -> None:
        """The kernel may list a thread for a moment after it has been waited for."""
        wait_until(lambda: self.count() == 0)


def load_wide(path: Path) -> Session:
    session = Session.load(path, prepared_bytes=1000)
    session.widen(path, RULE)
    return session


def test_a_prepared_model_has_the_threads_of_its_rule_in_a_second_session_and_the_same_bits(tmp_path: Path) -> None:
    path = write_model(tmp_path, "classifier")
    more = Threads()
    wide = load_wide(path)
    assert (wide.threads, wide.memory_bytes, more.count()) == (3, 1000, 2)
    alone = Session.load(path)
    for feed in (TRIED, UNTRIED):
        answers = [session.run(("probabilities",), feed, Cancellation()) for session in (wide, alone)]
        assert answers[0][0].tobytes() == answers[1][0].tobytes()


def test_only_what_was_tried_runs_with_several_threads(tmp_path: Path) -> None:
    session = load_wide(write_model(tmp_path, "classifier"))
    ran: list[str] = []
    alone, wide = session._run, session._run_wide
    session._run = lambda *given: (ran.append("alone"), alone(*given))[1]
    session._run_wide = lambda *given: (ran.append("wide"), wide(*given))[1]
    for feed in (TRIED, UNTRIED, TRIED):
        session.run(("label",), feed, Cancellation())
    assert ran == ["wide", "alone", "wide"]


def test_threads_go_with_their_session_and_whoever_lent_them_is_told(tmp_path: Path) -> None:
    more, told = Threads(), []
    session = load_wide(write_model(tmp_path, "classifier"))
    assert more.count() == 2
    session.when_closed(lambda: (more.wait_until_gone(), told.append(more.count()))[1])
    session.close()
    assert told == [0]


def test_a_session_that_has_been_closed_gets_no_threads(tmp_path: Path) -> None:
    path, more = write_model(tmp_path, "classifier"), Threads()
    session = Session.load(path, prepared_bytes=1000)
    session.close()
    session.widen(path, RULE)
    assert (session.is_closed, session.threads) == (True, 1)
    more.wait_until_gone()


def test_a_session_that_is_closed_while_it_gets_threads_keeps_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, more = write_model(tmp_path, "classifier"), Threads()
    session = Session.load(path, prepared_bytes=1000)

    def open_and_be_closed(*given: object, **named: object) -> object:
        opened = open_session(*given, **named)
        session.close()
        return opened

    open_session: Any = runtime._open
    monkeypatch.setattr(runtime, "_open", open_and_be_closed)
    session.widen(path, RULE)
    assert (session.is_closed, session.threads) == (True, 1)
    more.wait_until_gone()


def test_threads_that_are_not_to_be_had_leave_a_session_as_it_was(tmp_path: Path) -> None:
    session = Session.load(write_model(tmp_path, "classifier"), prepared_bytes=1000)
    session.widen(tmp_path / "gone.onnx", RULE)
    assert (session.threads, len(session.run(("label",), TRIED, Cancellation())[0])) == (1, 5)


def test_a_plain_model_has_one_thread_and_no_pool(tmp_path: Path) -> None:
    more = Threads()
    session = Session.load(write_model(tmp_path, "classifier"))
    assert (session.threads, session.memory_bytes, more.count()) == (1, None, 0)


def test_outputs_come_in_the_order_asked_for(tmp_path: Path) -> None:
    session = Session.load(write_model(tmp_path, "classifier"))
    both = session.run(("probabilities", "label"), {"x": ROWS}, Cancellation())
    assert [array.shape for array in both] == [(5, 3), (5,)]
    assert [array.shape for array in session.run(("label",), {"x": ROWS}, Cancellation())] == [(5,)]


@pytest.mark.parametrize(
    ("feed", "wanted"),
    [({}, [1.5, 2.5]), ({"bias": np.array([3.0], np.float32)}, [4.0, 5.0])],
    ids=["left out", "given"],
)
def test_an_optional_input_has_the_graphs_default(
    tmp_path: Path, feed: dict[str, np.ndarray], wanted: list[float]
) -> None:
    session = Session.load(write_model(tmp_path, "with_default"))
    (answer,) = session.run(("y",), {"x": np.array([1, 2], np.float32), **feed}, Cancellation())
    assert answer.tolist() == wanted


def test_what_the_runtime_refuses_is_a_failed_run_that_tells_no_internals(tmp_path: Path) -> None:
    session = Session.load(write_model(tmp_path, "gather"))
    with pytest.raises(RunFailed) as caught:
        session.run(("y",), {"index": np.array([7])}, Cancellation())
    assert caught.value.detail == "the runtime could not run the model on these inputs (InvalidArgument)"
    assert isinstance(caught.value.__cause__, RUNTIME_ERRORS)
    (answer,) = session.run(("y",), {"index": np.array([2, 0])}, Cancellation())
    assert answer.tolist() == [30.0, 10.0]


def test_an_output_that_is_not_utf8_is_not_text(tmp_path: Path) -> None:
    session = Session.load(write_model(tmp_path, "broken_text"))
    with pytest.raises(OutputNotText):
        session.run(("text",), {"x": ROWS}, Cancellation())


def test_an_endless_run_ends_when_it_is_cancelled_and_the_session_lives_on(tmp_path: Path) -> None:
    session = Session.load(write_model(tmp_path, "counting_loop"))
    cancellation = Cancellation()
    timer = threading.Timer(0.05, cancellation.cancel)
    timer.start()
    with pytest.raises(DeadlinePassed):
        session.run(("y",), FOR_EVER, cancellation)
    timer.join()
    (answer,) = session.run(("y",), {"trips": np.array(3)}, Cancellation())
    assert answer.tolist() == [8.0]


def test_a_run_cancelled_before_it_begins_does_not_run(tmp_path: Path) -> None:
    session = Session.load(write_model(tmp_path, "counting_loop"))
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(DeadlinePassed):
        session.run(("y",), FOR_EVER, cancellation)


@pytest.mark.parametrize(
    "content", [b"", b"\x00\x00\x00\x00ORTM" * 8, b"no model at all"], ids=["empty", "ORT", "text"]
)
def test_a_file_that_the_runtime_refuses_is_a_failed_load_that_tells_no_path(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(LoadFailed) as caught:
        Session.load(path)
    assert str(tmp_path) not in caught.value.detail


def test_every_error_class_of_the_runtime_is_known() -> None:
    theirs = {value for value in vars(native).values() if isinstance(value, type) and issubclass(value, BaseException)}
    assert set(RUNTIME_ERRORS) == theirs
