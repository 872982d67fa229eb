"""An honest model that was cut off, or changed at random; each seed gives the same bytes each time.

What comes out may be a model: then it is served. If it is none, the refusal says so, and no process dies of it.
"""

from collections.abc import Callable, Iterator
from functools import partial
from random import Random

from onnx import ModelProto

from tests.fuzz.messages import change
from tests.fuzz.mutation import mutate
from tests.hostile_set.case import ANSWERED, FAILED, INVALID, FileCase, feed, octets
from tests.support import models

_CUT, _BYTES, _FIELDS = "cut off", "bytes changed", "fields changed"
_VERDICTS = (
    "201",
    "200",
    "422 invalid_model",
    "422 too_complex",
    "422 unsupported_signature",
    "422 unsupported_operator",
    "422 invalid_tensor_name",
    "422 external_data",
    "415 unsupported_format",
)
_HONEST: dict[str, tuple[Callable[[], ModelProto], object]] = {
    "a linear model": (models.linear, [[1.0, 2.0, 3.0, 4.0]]),
    "a loop": (partial(models.loop, trips=2), [1.0]),
    "a tree": (partial(models.tree, 5), [[1.0]]),
}
_ANSWERS = (*ANSWERED, *FAILED, "422 missing_input", "422 unknown_input", "422 invalid_shape", "422 invalid_dtype")
_SEEDS = 5


def cases() -> Iterator[FileCase]:
    """Yield beginnings of files, and files with changes of bytes and of fields."""
    for name, (make, inputs) in _HONEST.items():
        asked = feed(inputs, *_ANSWERS)
        for percent in (1, 50, 99):
            yield FileCase(f"{_CUT}: {percent}% of {name}", _CUT, partial(_beginning, make, percent), INVALID)
        for seed in range(_SEEDS):
            for kind, build in ((_BYTES, _with_other_bytes), (_FIELDS, _with_another_field)):
                yield FileCase(f"{kind}: {name}, {seed}", kind, partial(build, make, seed), _VERDICTS, (asked,))


def _beginning(make: Callable[[], ModelProto], percent: int) -> bytes:
    whole = octets(make)
    return whole[: len(whole) * percent // 100]


def _with_other_bytes(make: Callable[[], ModelProto], seed: int) -> bytes:
    return mutate(Random(seed), octets(make))  # noqa: S311 - numbers that come again


def _with_another_field(make: Callable[[], ModelProto], seed: int) -> bytes:
    whole = octets(make)
    return change(Random(seed), whole, [whole])  # noqa: S311 - as above
