"""Trying several threads on models that say themselves how long their runs take."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper, save_model

from registry.inspection.graph import read_graph
from registry.inspection.host import can_start_threads, host_key, usable_cpus
from registry.inspection.probes import Probe
from registry.inspection.thread_obstacles import obstacle
from registry.inspection.thread_trial import Model, Run, try_threads, varied_probes
from registry.signature import Signature
from registry.tensor import DTYPES, TensorSpec
from registry.threads import ThreadReport, one_thread
from tests.support import models
from tests.support.inspecting import inspect_files

Array = np.ndarray[Any, Any]
Answer = Callable[[Array, int], Array | None]
"""What a model makes of its input with so many threads."""

SIGNATURE = Signature(
    inputs=(TensorSpec(name="x", dtype=DTYPES["float32"], shape=("n", 4)),),
    outputs=(TensorSpec(name="y", dtype=DTYPES["float32"], shape=None),),
)
PROBES = [Probe(first=first, rest=2, value=1) for first in (4, 1, 2)]
SHAPES = (((1, 4),), ((2, 4),), ((4, 4),))
ROW_SECONDS = 0.0625


class Machine:
    """Time passes as a model's runs take it: less with several threads."""

    def __init__(self, answer: Answer, *, row_seconds: float = ROW_SECONDS, can_load: bool = True) -> None:
        self._answer = answer
        self._row_seconds = row_seconds
        self._can_load = can_load
        self.now = 0.0
        self.model = Model(signature=SIGNATURE, alone=self._with(1), load=self._load, clock=lambda: self.now)

    def _load(self, threads: int) -> Run | None:
        return self._with(threads) if self._can_load else None

    def _with(self, threads: int) -> Run:
        def run(feed: Mapping[str, Array]) -> list[Any] | None:
            self.now += len(feed["x"]) * self._row_seconds / threads
            answer = self._answer(feed["x"], threads)
            return None if answer is None else [answer]

        return run


def same(x: Array, _threads: int) -> Array:
    return x * np.float32(3)


def attempt(answer: Answer, *, cpus: int = 8, **machine: Any) -> ThreadReport:
    return try_threads(Machine(answer, **machine).model, PROBES, cpus=cpus, host="here")


def report(run_seconds: Mapping[int, float], reason: str = "") -> ThreadReport:
    return ThreadReport(host="here", reason=reason, shapes=SHAPES, run_seconds=run_seconds)


def test_every_number_of_threads_that_keeps_the_bits_is_usable() -> None:
    assert attempt(same) == report({1: 0.25, 2: 0.125, 4: 0.0625, 8: 0.03125})


def test_no_more_are_tried_than_there_are_cpus() -> None:
    assert attempt(same, cpus=5) == report({1: 0.25, 2: 0.125, 4: 0.0625})
    assert attempt(same, cpus=1) == one_thread("here", "only one CPU is usable where it was tried")


def test_a_number_that_changes_a_bit_is_not_usable_and_none_above_it_is() -> None:
    def changed_by_four(x: Array, threads: int) -> Array:
        return np.nextafter(x, np.float32(0)) if threads == 4 and len(x) == 2 else x

    assert attempt(changed_by_four) == report({1: 0.25, 2: 0.125}, "an answer has other bits with 4 threads")


def test_sums_that_are_divided_among_the_threads_have_other_bits() -> None:
    def divided(x: Array, threads: int) -> Array:
        parts = np.array_split(np.tile(x.ravel(), 1000), threads)
        return np.array(sum(np.add.accumulate(part)[-1] for part in parts), np.float32)

    assert attempt(divided) == one_thread("here", "an answer has other bits with 2 threads")


def test_a_difference_that_only_shows_now_and_then_is_found_in_the_timed_runs() -> None:
    seen: list[int] = []

    def seldom(x: Array, threads: int) -> Array:
        seen.append(threads)
        return x + np.float32(threads == 2 and seen.count(2) == len(SHAPES) + 2)

    assert attempt(seldom) == one_thread("here", "an answer has other bits with 2 threads")


def test_a_run_that_fails_with_several_threads_makes_them_unusable() -> None:
    found = attempt(lambda x, threads: x if threads < 4 else None)
    assert found == report({1: 0.25, 2: 0.125}, "a run fails, or takes too long, with 4 threads")


def test_a_model_that_answers_differently_each_time_is_not_tried() -> None:
    random = np.random.default_rng(1)
    found = attempt(lambda x, _: random.standard_normal(x.shape).astype(np.float32))
    assert found == one_thread("here", "the model answers differently each time")


def test_where_no_session_can_be_made_one_thread_is_used() -> None:
    found = attempt(same, can_load=False)
    assert found == one_thread("here", "a session with 2 threads cannot be made where it was tried")


def test_short_runs_are_not_tried() -> None:
    assert attempt(same, row_seconds=0.001) == one_thread("here", "its runs are short")


def test_only_shapes_with_long_runs_are_tried() -> None:
    assert attempt(same, row_seconds=0.008).shapes == SHAPES[1:]


def test_the_shortest_run_is_tried_whatever_it_takes_and_longer_ones_are_not() -> None:
    found = attempt(same, row_seconds=0.5, cpus=2)
    assert (found.shapes, found.run_seconds) == (SHAPES[:1], {1: 0.5, 2: 0.25})


def test_time_ends_a_trial_with_what_it_has_found() -> None:
    def slow_with_two(x: Array, threads: int) -> Array:
        machine.now += 3.0 * (threads == 2)
        return x

    machine = Machine(slow_with_two)
    found = try_threads(machine.model, PROBES, cpus=8, host="here")
    assert found == report({1: 0.25, 2: 3.125}, "no time was left to try 4 threads")


def test_shapes_that_the_model_refuses_are_left_out() -> None:
    assert attempt(lambda x, _: x if len(x) != 2 else None).shapes == (SHAPES[0], SHAPES[2])


def test_many_rows_and_some_lengths_are_made_up() -> None:
    made = {(probe.first, probe.rest) for probe in varied_probes(Probe(first=1, rest=2, value=0))}
    assert {(1, 2), (2, 2), (8, 2), (32, 2), (1, 224), (2, 512)} <= made


def test_threads_can_be_started_here() -> None:
    assert can_start_threads(4)


def with_if() -> ModelProto:
    branch = helper.make_graph([helper.make_node("Unique", ["x"], ["z"])], "b", [], [models.value("z", shape=(None,))])
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    return models.model(
        [node],
        [models.value("x"), models.value("c", "bool", ())],
        [models.value("y", shape=(None,))],
    )


UNPROVABLE = "is not among the operators whose bits a trial can prove"


def chosen() -> ModelProto:
    """Take a class out of sums: it hides all their bits but the largest."""
    node = helper.make_node("ArgMax", ["x"], ["y"], axis=1)
    return models.model([node], [models.value("x", shape=("n", 4))], [models.value("y", "int64", ("n", 1))])


def cut() -> ModelProto:
    """Take as much as an input says: shapes inside follow from values."""
    bounds = [models.value(name, "int64", (1,)) for name in ("from", "to")]
    node = helper.make_node("Slice", ["x", "from", "to"], ["y"])
    return models.model([node], [models.value("x", shape=("n", 4)), *bounds], [models.value("y", shape=(None, 4))])


def counted() -> ModelProto:
    """Pass whole numbers on: sums of those are the same in every order."""
    return models.model(
        [helper.make_node("Identity", ["x"], ["y"])],
        [models.value("x", "int64", ("n", 4))],
        [models.value("y", "int64", ("n", 4))],
    )


OBSTACLES: dict[str, tuple[Callable[[], ModelProto], str]] = {
    "a forest": (
        lambda: models.tree(2),
        f"TreeEnsembleRegressor {UNPROVABLE}",
    ),
    "a branch": (with_if, f"If {UNPROVABLE}"),
    "a loop": (models.loop, "how long a run takes depends on what is in its inputs"),
    "a choice": (chosen, f"ArgMax {UNPROVABLE}"),
    "a size from an input": (cut, f"Slice {UNPROVABLE}"),
    "whole numbers": (counted, "'x' is no float: a trial could not see the last bit"),
    "a matrix": (models.linear, ""),
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_what_a_trial_could_not_prove_is_told_from_the_graph(tmp_path: Path, name: str) -> None:
    make, reason = OBSTACLES[name]
    save_model(make(), tmp_path / "model.onnx")
    facts = read_graph(tmp_path / "model.onnx")
    assert obstacle(facts.operators, facts.signature, is_bounded=facts.is_bounded) == reason


def test_the_operators_of_branches_and_functions_are_known(tmp_path: Path) -> None:
    save_model(with_if(), tmp_path / "if.onnx")
    save_model(models.calls(1), tmp_path / "calls.onnx")
    assert read_graph(tmp_path / "if.onnx").operators == {"If", "Unique"}
    assert read_graph(tmp_path / "calls.onnx").operators >= {node.op_type for node in models.calls(1).functions[0].node}


TRIES = 3
ACCIDENTS = {
    "the model answers differently each time",
    "a run fails, or takes too long, with 2 threads",
    "its runs are short",
}
"""What is said as well where the time for all runs, or for those with one thread, was over before the first of them."""


def inspected(folder: Path, model: ModelProto) -> ThreadReport | None:
    return inspect_files(folder, {"model.onnx": model.SerializeToString()}).threads


def test_a_real_model_with_long_runs_is_tried_in_the_child(tmp_path: Path) -> None:
    reports = (inspected(tmp_path, models.deep_conv()) for _ in range(TRIES))
    found = next(report for report in reports if report is not None and report.reason not in ACCIDENTS)
    assert found.host == host_key()
    if usable_cpus() == 1:
        assert found == one_thread(host_key(), "only one CPU is usable where it was tried")
    else:
        assert ((1, 3, 112, 112),) in found.shapes
        assert {1, 2} <= found.run_seconds.keys() <= {1 << power for power in range(usable_cpus().bit_length())}


def test_a_real_model_with_short_runs_is_not_tried(tmp_path: Path) -> None:
    # On a busy machine a run that stands still is a long one, or there is no time left for any.
    expected = one_thread(host_key(), "its runs are short")
    assert any(inspected(tmp_path, models.linear()) == expected for _ in range(TRIES))
