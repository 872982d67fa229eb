"""What the event loop takes of the requests of a second: little, copied, and at even distances."""

from typing import Any, cast

import numpy as np
import pytest

from gateway.serving.input_samples import MOST_REQUESTS, MOST_TEXTS, MOST_VALUES, InputTap, Samples
from gateway.serving.taps import AnyTap, BothTaps, both_taps
from registry.input_statistics import InputPlan
from registry.records import Version
from registry.tensor import TensorSpec
from tests.support.serving_models import make_version
from tests.support.signatures import SHOP, tensor

ROWS = (tensor("x", "float32", ("n", 4)),)
IMAGE = (tensor("x", "float32", ("n", "h", "w")),)
TEXT = (tensor("words", "string", ("n", 2)),)


class Scene:
    """A tap of one version, and what it has taken."""

    def __init__(
        self, inputs: tuple[TensorSpec, ...] = ROWS, *, has_room: bool = True, most_bytes: int = 2**24
    ) -> None:
        self.version = make_version(inputs=inputs)
        self.samples = Samples(most_bytes)
        self.asked: list[str] = []
        self.has_room = has_room
        self.tap = InputTap(self.version, InputPlan.of(self.version.signature), self.samples, self.take_room)

    def take_room(self, version: Version, plan: InputPlan) -> bool:
        self.asked.append(f"{version.model}:{version.number} {plan.width}")
        return self.has_room

    def offer(self, **feed: Any) -> None:
        self.tap.offer(feed, None, [])

    def taken(self) -> tuple[int, int, dict[str, list[tuple[Any, int]]]]:
        """Of the version: requests, those that were skipped, and the values of each sample with its requests."""
        ((_, second),) = self.samples.take()
        samples = {
            name: [(sample.table.tolist(), sample.requests) for sample in found]
            for name, found in second.samples.items()
        }
        return second.requests, second.skipped, samples


def test_a_request_is_copied_whatever_becomes_of_its_arrays() -> None:
    scene = Scene()
    rows = np.array([[1, 2, 3, 4]], np.float32)
    scene.offer(x=rows)
    rows.fill(77)
    assert scene.taken() == (1, 0, {"x": [([[1, 2, 3, 4]], 1)]})


def test_an_input_that_a_request_does_not_bring_is_not_looked_at() -> None:
    scene = Scene(SHOP.inputs)
    scene.offer(user=np.array([5]), words=np.array([["a", "b"]], object))
    assert scene.taken() == (1, 0, {"user": [([[5]], 1)], "words": [([["a", "b"]], 1)]})


def test_of_many_rows_some_are_taken_whole_and_at_even_distances() -> None:
    scene = Scene()
    scene.offer(x=np.arange(4 * 10_000, dtype=np.float32).reshape(10_000, 4))
    ((_, second),) = scene.samples.take()
    (sample,) = second.samples["x"]
    first = sample.table[:, 0]
    assert (sample.table.shape, sample.table.size) == ((MOST_VALUES // 4, 4), MOST_VALUES)
    assert (sample.table - first[:, None] == [0, 1, 2, 3]).all()
    assert set(np.diff(first).tolist()) <= {4.0 * 9, 4.0 * 10}
    assert (first[0], first[-1] > 4 * 9_900) == (0, True)


def test_of_an_input_without_columns_as_many_values_are_taken() -> None:
    scene = Scene(IMAGE)
    scene.offer(x=np.arange(64 * 64 * 3, dtype=np.float32).reshape(1, 64, 192))
    ((_, second),) = scene.samples.take()
    assert second.samples["x"][0].table.ravel().tolist() == list(range(0, 64 * 64 * 3, 3))


def test_of_text_fewer_values_are_taken() -> None:
    scene = Scene(TEXT)
    scene.offer(words=np.array([[f"w{n}", "x"] for n in range(1_000)], object))
    ((_, second),) = scene.samples.take()
    assert second.samples["words"][0].table.shape == (MOST_TEXTS // 2, 2)


def test_requests_that_have_shared_a_run_are_one_sample() -> None:
    scene = Scene()
    scene.tap.offer_rows({"x": np.ones((4, 4), np.float32)}, [1, 2, 1], None, [])
    assert scene.taken() == (3, 0, {"x": [([[1, 1, 1, 1]] * 4, 3)]})


def test_of_a_second_the_first_requests_are_taken_and_the_others_are_counted() -> None:
    scene = Scene()
    for _ in range(MOST_REQUESTS - 2):
        scene.offer(x=np.ones((1, 4), np.float32))
    scene.tap.offer_rows({"x": np.array([[1] * 4, [2] * 4, [3] * 4, [4] * 4], np.float32)}, [1, 2, 1], None, [])
    scene.offer(x=np.ones((1, 4), np.float32))
    requests, skipped, samples = scene.taken()
    assert (requests, skipped) == (MOST_REQUESTS, 2)
    assert samples["x"][-1] == ([[1] * 4, [2] * 4, [3] * 4], 2)


def test_a_new_second_takes_requests_again() -> None:
    scene = Scene()
    for _ in range(MOST_REQUESTS + 1):
        scene.offer(x=np.ones((1, 4), np.float32))
    scene.samples.take()
    scene.offer(x=np.ones((1, 4), np.float32))
    assert scene.taken() == (1, 0, {"x": [([[1, 1, 1, 1]], 1)]})


def test_what_finds_no_room_among_all_that_waits_is_skipped() -> None:
    scene = Scene(most_bytes=40)
    for _ in range(3):
        scene.offer(x=np.ones((1, 4), np.float32))
    assert scene.samples.size_bytes == 32
    assert scene.taken() == (2, 1, {"x": [([[1, 1, 1, 1]], 1)] * 2})


def test_a_version_that_may_not_be_looked_at_is_asked_about_once() -> None:
    scene = Scene(has_room=False)
    scene.offer(x=np.ones((1, 4), np.float32))
    scene.offer(x=np.ones((1, 4), np.float32))
    assert (scene.asked, scene.samples.take()) == (["iris:1 4"], [])


@pytest.mark.parametrize(
    "value", [np.ones(3, np.float32), "no array", None], ids=["of another shape", "text", "nothing"]
)
def test_a_mistake_is_nobodys_business(value: Any, capfd: pytest.CaptureFixture[str]) -> None:
    scene = Scene()
    for _ in range(2):
        scene.offer(x=value)
    assert scene.taken() == (0, 2, {})
    told = capfd.readouterr()
    assert (told.out + told.err).count("inputs_not_looked_at") == 1


class Remembering:
    """A tap that remembers what it was offered."""

    def __init__(self) -> None:
        self.offered: list[Any] = []

    def offer(self, *what: Any) -> None:
        self.offered.append(what)

    def offer_rows(self, *what: Any) -> None:
        self.offered.append(what)


def test_two_taps_are_offered_the_same() -> None:
    one, other = Remembering(), Remembering()
    tap = both_taps(cast("AnyTap", one), cast("AnyTap", other))
    tap.offer({}, ("label",), [])
    tap.offer_rows({}, [1, 2], None, [])
    assert one.offered == other.offered == [({}, ("label",), []), ({}, [1, 2], None, [])]
    assert isinstance(tap, BothTaps)


def test_a_tap_without_another_is_itself() -> None:
    tap = cast("AnyTap", Remembering())
    assert both_taps(None, tap) is tap
