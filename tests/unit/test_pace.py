from math import inf

import numpy as np
import pytest

from gateway.serving.pace import Pace
from registry.tensor import DTYPES, TensorSpec
from tests.support.serving_models import FLOAT_ROW, make_version

TEXT = TensorSpec(name="text", dtype=DTYPES["string"], shape=("n",))


def test_the_first_guess_is_the_run_of_the_smallest_probe() -> None:
    pace = Pace(make_version(run_seconds=0.002))
    assert [pace.predict_seconds(size) for size in (1, 4, 7)] == [0.002, 0.002, 0.002]


def test_larger_sizes_are_guessed_with_the_square_until_one_has_run() -> None:
    pace = Pace(make_version(run_seconds=0.001))
    assert [pace.predict_seconds(size) for size in (8, 16, 64)] == [0.004, 0.016, 0.256]
    pace.learn(64, 0.008)
    assert [pace.predict_seconds(size) for size in (64, 127, 128)] == [0.008, 0.008, 0.032]


@pytest.mark.parametrize(
    ("run_seconds", "is_bounded"), [(None, True), (1e-6, False)], ids=["never measured", "not bounded by its input"]
)
def test_what_cannot_be_said_is_infinite(run_seconds: float | None, is_bounded: bool) -> None:  # noqa: FBT001  a table
    pace = Pace(make_version(run_seconds=run_seconds, is_bounded=is_bounded))
    assert pace.predict_seconds(4) == inf


def test_a_version_never_measured_is_known_after_its_first_run() -> None:
    pace = Pace(make_version(run_seconds=None))
    pace.learn(4, 0.0001)
    assert pace.predict_seconds(4) == 0.0001
    assert pace.predict_seconds(1) == 0.0001


def test_a_mean_follows_its_runs_and_one_interrupted_run_is_no_evidence() -> None:
    pace = Pace(make_version(run_seconds=0.001))
    pace.learn(4, 0.002)
    assert pace.predict_seconds(4) == pytest.approx(0.0012)
    pace.learn(4, 60.0)
    assert pace.predict_seconds(4) == pytest.approx(0.0012 * 1.6)
    for _ in range(60):
        pace.learn(4, 0.0005)
    assert pace.predict_seconds(4) == pytest.approx(0.0005, rel=0.01)


def test_a_size_is_elements_and_for_text_characters() -> None:
    numbers = {"x": np.zeros((3, 4), np.float32), "y": np.zeros((), np.float32)}
    assert Pace(make_version(inputs=[FLOAT_ROW])).size_of(numbers) == 13
    words = {"text": np.array(["four", "seventeen letters"], dtype=object)}
    assert Pace(make_version(inputs=[TEXT])).size_of(words) == 2 + 4 + 17
