"""What is kept of the example of a registration: how many rows, which, and what is too large."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from gateway.client import UnusableArgument
from gateway.client.recording import MOST_BYTES, MOST_ROWS, bounded


def spec(name: str, *shape: Any) -> Mapping[str, Any]:
    return {"name": name, "dtype": "float32", "shape": list(shape)}


FREE = spec("x", "batch", 1)


def column(count: int) -> Any:
    return np.arange(count, dtype=np.float32).reshape(count, 1)


@pytest.mark.parametrize("count", [0, 1, MOST_ROWS])
def test_few_rows_are_kept_as_they_are(count: int) -> None:
    assert bounded({"x": column(count)}, [FREE])["x"].tolist() == column(count).tolist()


@pytest.mark.parametrize("count", [MOST_ROWS + 1, 2 * MOST_ROWS - 1, 1000])
def test_of_many_rows_some_are_kept_from_everywhere_and_none_twice(count: int) -> None:
    kept = bounded({"x": column(count)}, [FREE])["x"].ravel().tolist()

    assert (len(kept), kept[0], kept) == (MOST_ROWS, 0, sorted(set(kept)))
    assert max(np.diff([*kept, count])) <= -(-count // MOST_ROWS)


def test_rows_of_several_inputs_stay_together() -> None:
    kept = bounded({"x": column(1000), "y": column(1000) * 2}, [FREE, spec("y", None, 1)])

    assert len(kept["x"]) == MOST_ROWS
    np.testing.assert_array_equal(kept["x"] * 2, kept["y"])


@pytest.mark.parametrize(
    ("feed", "specs"),
    [
        ({"x": column(1000)}, [spec("x", 1000, 1)]),
        ({"x": column(1000), "y": column(999)}, [FREE, spec("y", "other", 1)]),
        ({"x": column(1000), "y": np.float32(1)}, [FREE, spec("y")]),
        ({"x": column(1000), "y": [column(1000)]}, [FREE, spec("y", "batch", 1)]),
    ],
    ids=["fixed", "other numbers of rows", "beside a scalar", "beside a sequence"],
)
def test_what_has_no_rows_in_common_is_kept_whole(feed: Mapping[str, Any], specs: list[Mapping[str, Any]]) -> None:
    assert bounded(feed, specs) is feed


def test_large_rows_are_fewer() -> None:
    rows = np.zeros((10, MOST_BYTES // 4 // 3), np.float32)

    assert bounded({"x": rows}, [spec("x", "batch", None)])["x"].shape == (3, rows.shape[1])


def test_long_texts_are_counted() -> None:
    rows = np.array([["a" * (MOST_BYTES // 4)]] * 8, object)

    assert bounded({"x": rows}, [spec("x", "batch", 1)])["x"].shape == (4, 1)


@pytest.mark.parametrize(
    ("dim", "words"), [("batch", f"a row takes {MOST_BYTES + 4} bytes"), (2, f"it takes {2 * MOST_BYTES + 8} bytes")]
)
def test_what_is_too_large_is_refused_with_its_size(dim: Any, words: str) -> None:
    rows = np.zeros((2, MOST_BYTES // 4 + 1), np.float32)

    with pytest.raises(UnusableArgument, match=words):
        bounded({"x": rows}, [spec("x", dim, None)])
