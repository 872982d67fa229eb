"""What the console knows of the columns of a table that is pasted."""

from dataclasses import replace

import pytest

from gateway.client import tables
from gateway.web.console.columns import COLUMNS, columns_of, has_input_for_each_column
from registry.records import Version
from registry.signature import Signature
from registry.tensor import DTYPES, Shape, TensorSpec
from tests.support.serving_models import make_version


def spec(name: str, shape: Shape | None = ("n", 1), *, optional: bool = False) -> TensorSpec:
    return TensorSpec(name=name, dtype=DTYPES["float32"], shape=shape, optional=optional)


def version(*inputs: TensorSpec, note: str = '["a", "b"]') -> Version:
    plain = make_version(inputs=inputs)
    return replace(plain, inspection=replace(plain.inspection, metadata={COLUMNS: note}))


@pytest.mark.parametrize("note", ['["a", "b"]', "[]", '["a", 1]', '{"a": 1}', '["a", "b', "null"])
def test_the_page_and_the_client_read_the_same_names_of_the_same_note(note: str) -> None:
    theirs = tables.known_columns({tables.COLUMNS: note})
    assert columns_of(version(spec("x", ("n", 2)), note=note)) == ({"x": theirs} if theirs else {})


def test_the_names_are_those_of_the_only_input_that_has_to_be_given() -> None:
    assert columns_of(version(spec("bias", optional=True), spec("x", ("n", 2)))) == {"x": ["a", "b"]}
    assert columns_of(version(spec("x"), spec("y"))) == {}


@pytest.mark.parametrize(
    "inputs",
    [(spec("age"), spec("city", ("n",))), (spec("age", (None, None)), spec("city", None))],
    ids=["a column each", "of free sizes"],
)
def test_one_table_fills_in_several_inputs_that_are_columns(inputs: tuple[TensorSpec, ...]) -> None:
    assert has_input_for_each_column(Signature(inputs=inputs, outputs=()))


@pytest.mark.parametrize(
    "inputs",
    [
        (spec("age"),),
        (spec("age"), spec("bias", optional=True)),
        (spec("age"), spec("picture", ("n", 3, 8, 8))),
        (spec("age"), spec("rows", ("n", 4))),
    ],
    ids=["one input", "one that is required", "a picture", "rows"],
)
def test_one_table_is_not_offered_for_other_inputs(inputs: tuple[TensorSpec, ...]) -> None:
    assert not has_input_for_each_column(Signature(inputs=inputs, outputs=()))
