"""When a canary is dropped: which answers are bad, and how many may be."""

import pytest

from gateway.serving.canary_watch import OWN_FAULTS, CanaryWatch
from gateway.web.problems import all_errors
from registry.records import Canary

FAILED = "model_execution_failed"


class Scene:
    """A watched canary, and the reasons for which it was dropped."""

    def __init__(self, *, rate: float | None = None, seconds: float | None = None) -> None:
        canary = Canary(version=2, percent=5, max_error_rate=rate, max_latency_seconds=seconds)
        self.reasons: list[str] = []
        self._watch = CanaryWatch(canary, self.reasons.append)

    def answer(self, code: str = "ok", *, seconds: float = 0.001, times: int = 1) -> list[str]:
        """Count answers one by one, and return why the canary has been dropped so far."""
        for _ in range(times):
            self._watch.add(code, seconds)
        return self.reasons

    def answer_together(self, code: str, *, times: int) -> list[str]:
        """Count the answers of one run."""
        self._watch.add(code, 0.001, times)
        return self.reasons


def test_the_first_failures_are_held_against_a_hundred_answers() -> None:
    scene = Scene(rate=0.05)
    assert scene.answer(FAILED, times=5) == []
    assert scene.answer(FAILED) == ["6 of its last 6 answers failed, more than 0.05 of them"]


def test_more_answers_allow_more_failures() -> None:
    scene = Scene(rate=0.05)
    scene.answer(times=190)
    assert scene.answer(FAILED, times=10) == []
    assert scene.answer(FAILED) == ["11 of its last 201 answers failed, more than 0.05 of them"]


def test_where_none_may_fail_the_first_failure_drops_it() -> None:
    scene = Scene(rate=0.0)
    scene.answer(times=500)
    assert scene.answer(FAILED) == ["1 of its last 501 answers failed, more than 0 of them"]


def test_where_all_may_fail_none_drops_it() -> None:
    assert Scene(rate=1.0).answer(FAILED, times=2_000) == []


def test_failures_are_forgotten_after_a_thousand_answers() -> None:
    scene = Scene(rate=0.05)
    scene.answer(times=900)
    scene.answer(FAILED, times=45)
    scene.answer(times=1_000)
    assert scene.answer(FAILED, times=50) == []
    assert scene.answer(FAILED) == ["51 of its last 1000 answers failed, more than 0.05 of them"]


def test_one_answer_in_a_hundred_may_be_late() -> None:
    scene = Scene(seconds=0.25)
    assert scene.answer(seconds=0.5) == []
    assert scene.answer(seconds=0.5) == ["2 of its last 2 answers took more than 250 ms"]


def test_ten_answers_in_a_thousand_may_be_late() -> None:
    scene = Scene(seconds=0.25)
    scene.answer(times=990)
    assert scene.answer(seconds=0.5, times=10) == []
    assert scene.answer(seconds=0.5) == ["11 of its last 1000 answers took more than 250 ms"]


def test_late_answers_are_forgotten_after_a_thousand() -> None:
    scene = Scene(seconds=0.25)
    scene.answer(times=990)
    for _ in range(3):
        assert scene.answer(seconds=0.5, times=10) == []
        scene.answer(times=990)


def test_an_answer_that_takes_as_long_as_it_may_is_not_late() -> None:
    assert Scene(seconds=0.25).answer(seconds=0.25, times=200) == []


def test_how_long_a_failure_took_is_no_lateness_but_a_timeout_is() -> None:
    assert Scene(seconds=0.25).answer(FAILED, seconds=9.0, times=200) == []
    assert len(Scene(seconds=0.25).answer("predict_timeout", seconds=9.0, times=200)) == 1


def test_what_has_waited_for_the_version_to_be_loaded_is_not_late() -> None:
    reasons: list[str] = []
    canary = Canary(version=2, percent=5, max_latency_seconds=0.25)
    watch = CanaryWatch(canary, reasons.append, loaded_at=lambda: 95.0, clock=lambda: 100.0)
    watch.add("ok", 9.0, 50)
    assert reasons == []
    watch.add("ok", 4.0, 50)
    assert len(reasons) == 1


def test_failures_are_nothing_to_a_canary_that_is_to_be_quick_only() -> None:
    assert Scene(seconds=0.25).answer(FAILED, times=200) == []


def test_lateness_is_nothing_to_a_canary_that_is_to_be_right_only() -> None:
    assert Scene(rate=0.0).answer(seconds=60.0, times=200) == []


def test_failures_are_told_before_lateness() -> None:
    scene = Scene(rate=0.0, seconds=0.25)
    scene.answer(seconds=0.5)
    assert scene.answer(FAILED) == ["1 of its last 2 answers failed, more than 0 of them"]


@pytest.mark.parametrize("code", sorted(OWN_FAULTS))
def test_a_fault_of_the_version_itself_counts(code: str) -> None:
    assert Scene(rate=0.0).answer(code) == ["1 of its last 1 answers failed, more than 0 of them"]


def test_the_faults_of_a_version_are_those_that_another_version_would_not_have() -> None:
    assert sorted(OWN_FAULTS) == [
        "artifact_corrupt",
        "artifact_missing",
        "insufficient_memory",
        "internal_error",
        "model_execution_failed",
        "model_load_failed",
        "model_output_not_text",
        "predict_timeout",
    ]


@pytest.mark.parametrize("code", ["ok", *sorted({error.code for error in all_errors()} - OWN_FAULTS)])
def test_what_is_the_callers_fault_or_a_full_queues_does_not_count(code: str) -> None:
    assert Scene(rate=0.0, seconds=0.25).answer(code, times=200) == []


def test_the_answers_of_one_run_are_all_counted() -> None:
    scene = Scene(rate=0.05)
    assert scene.answer_together(FAILED, times=5) == []
    assert scene.answer_together(FAILED, times=8) == ["13 of its last 13 answers failed, more than 0.05 of them"]


def test_a_run_of_more_answers_than_are_kept_leaves_the_newest() -> None:
    scene = Scene(rate=0.5)
    scene.answer_together("ok", times=3_000)
    assert scene.answer_together(FAILED, times=600) == ["600 of its last 1000 answers failed, more than 0.5 of them"]


def test_a_canary_is_dropped_once() -> None:
    scene = Scene(rate=0.0, seconds=0.25)
    first = list(scene.answer(FAILED))
    assert scene.answer(FAILED, seconds=9.0, times=2_000) == first


@pytest.mark.parametrize("code", ["ok", FAILED])
def test_a_canary_without_limits_is_never_dropped(code: str) -> None:
    assert Scene().answer(code, seconds=60.0, times=2_000) == []
