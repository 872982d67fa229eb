"""Golden examples come back from what is kept with every bit that they had."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from registry.examples import Example, Examples
from registry.same_answers import Tolerance
from registry.tensor import DTYPES

Array = NDArray[Any]

LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "as it is": lambda array: array,
    "transposed": lambda array: array.T,
    "in Fortran's order": np.asfortranarray,
    "backwards": lambda array: array[..., ::-1] if array.ndim else array,
    "every other": lambda array: np.repeat(array, 2, axis=0)[::2] if array.ndim else array,
    "of one row": lambda array: np.broadcast_to(array, (3, *array.shape)),
}


def contents(array: Array) -> tuple[Any, ...]:
    """Everything that tells two arrays apart, whatever they lie in."""
    values = array.tolist() if array.dtype.kind == "O" else array.tobytes()
    return array.dtype, array.shape, values


def contents_of(example: Example) -> tuple[Any, ...]:
    inputs = {name: contents(array) for name, array in example.inputs.items()}
    outputs = {name: contents(array) for name, array in example.outputs.items()}
    return example.name, inputs, outputs, example.tolerance


@st.composite
def arrays(draw: st.DrawFn, name: str | None = None) -> Array:
    """Any array of a dtype of the registry's: of any bits, in any shape, laid out in any way."""
    dtype = DTYPES[name or draw(st.sampled_from(sorted(DTYPES)))].numpy
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=4)))
    count = math.prod(shape)
    if dtype.kind == "O":
        array = np.empty(count, dtype)
        array[:] = draw(st.lists(st.text(max_size=5), min_size=count, max_size=count))
    elif dtype.kind == "b":
        array = np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), dtype)
    else:
        octets = draw(st.binary(min_size=count * dtype.itemsize, max_size=count * dtype.itemsize))
        array = np.frombuffer(octets, dtype)
    return LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))](array.reshape(shape))


tolerances = st.builds(Tolerance, st.floats(0, allow_infinity=False), st.floats(0, allow_infinity=False))
names = st.text(max_size=5).filter(str.isprintable)
tensors = st.dictionaries(st.text(max_size=3), arrays(), max_size=3)


@st.composite
def examples(draw: st.DrawFn) -> Example:
    return Example(
        name=draw(names),
        inputs=draw(tensors),
        outputs=draw(tensors.filter(bool)),
        tolerance=draw(st.none() | tolerances),
    )


@pytest.mark.parametrize("name", sorted(DTYPES))
@given(data=st.data())
def test_every_bit_of_every_dtype_is_kept(name: str, data: st.DataObject) -> None:
    example = Example(name="e", inputs={"x": data.draw(arrays(name))}, outputs={"y": data.draw(arrays(name))})
    kept = json.loads(json.dumps(example.as_json()))
    assert contents_of(Example.from_json(kept)) == contents_of(example)


@given(examples())
def test_an_example_is_what_was_kept_of_it(example: Example) -> None:
    assert contents_of(Example.from_json(example.as_json())) == contents_of(example)


@given(st.lists(examples(), max_size=4, unique_by=lambda example: example.name))
def test_a_document_holds_all_examples_in_their_order_and_is_written_again_alike(items: list[Example]) -> None:
    written = Examples(tuple(items))
    again = Examples.read(written.document)
    assert [contents_of(example) for example in again.items] == [contents_of(example) for example in items]
    assert (again.document, again.facts) == (written.document, written.facts)


@given(examples())
def test_whoever_gives_what_an_example_says_has_no_fault(example: Example) -> None:
    kept = Example.from_json(example.as_json())
    assert (example.faults(kept.outputs), kept.faults(example.outputs)) == ([], [])


@given(examples())
def test_what_is_read_can_be_changed_and_changes_nothing_that_is_kept(example: Example) -> None:
    kept = example.as_json()
    for array in Example.from_json(kept).outputs.values():
        array.fill("other" if array.dtype.kind == "O" else 1)
    assert contents_of(Example.from_json(kept)) == contents_of(example)
