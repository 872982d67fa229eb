"""What callers of one signature notice of another, change by change."""

import pytest

from registry.compatibility import Comparison, Compatibility, compare
from registry.errors import Difference
from registry.signature import Signature
from registry.tensor import DTYPES, OPTIONAL, SEQUENCE, Shape, TensorSpec

IDENTICAL, WIDENING, NARROWING, BREAKING = Compatibility


def spec(text: str) -> TensorSpec:
    """Read ``x?: float32[batch, 4]``; a question mark after the name makes it optional."""
    name, _, rest = text.partition(": ")
    dtype, _, inner = rest.rstrip("]").partition("[")
    return TensorSpec(name=name.rstrip("?"), dtype=DTYPES[dtype], shape=shape_of(inner), optional=name.endswith("?"))


def shape_of(inner: str) -> Shape | None:
    dims = [dim for dim in inner.split(", ") if dim]
    if dims == ["..."]:
        return None
    return tuple(int(dim) if dim.isdigit() else None if dim == "?" else dim for dim in dims)


def signature(inputs: str, outputs: str = "y: float32[batch, 3]") -> Signature:
    return Signature(
        inputs=tuple(map(spec, filter(None, inputs.split("; ")))),
        outputs=tuple(map(spec, filter(None, outputs.split("; ")))),
    )


X = "x: float32[batch, 4]"
TWO = "x: float32[n, 4]; z: float32[m, 4]"


@pytest.mark.parametrize(
    ("before", "after", "compatibility", "path"),
    [
        (X, X, IDENTICAL, None),
        (X, "x: float32[rows, 4]", IDENTICAL, None),
        (X, "x: float32[?, 4]", IDENTICAL, None),
        ("x: float32[1, 4]", X, WIDENING, "inputs/x/shape"),
        (X, "x: float32[...]", WIDENING, "inputs/x/shape"),
        (X, f"{X}; z?: int64[]", WIDENING, "inputs/z"),
        (X, "x?: float32[batch, 4]", WIDENING, "inputs/x/optional"),
        ("x: float32[n, 4]; z: float32[n, 4]", TWO, WIDENING, "inputs/z/shape/0"),
        (X, "x: float32[1, 4]", NARROWING, "inputs/x/shape"),
        ("x: float32[...]", X, NARROWING, "inputs/x/shape"),
        ("x?: float32[batch, 4]", X, NARROWING, "inputs/x/optional"),
        (f"{X}; z?: int64[]", X, NARROWING, "inputs/z"),
        (TWO, "x: float32[n, 4]; z: float32[n, 4]", NARROWING, "inputs/z/shape/0"),
        ("x: float32[?, ?]", "x: float32[n, n]", NARROWING, "inputs/x/shape/1"),
        ("x: float32[2, m]", "x: float32[k, k]", NARROWING, "inputs/x/shape/1"),
        (X, "x: float32[batch, 5]", BREAKING, "inputs/x/shape"),
        (X, "x: float32[batch, 4, 1]", BREAKING, "inputs/x/shape"),
        (X, "x: float64[batch, 4]", BREAKING, "inputs/x/dtype"),
        (X, "w: float32[batch, 4]", BREAKING, "inputs/x"),
        (X, f"{X}; z: int64[]", BREAKING, "inputs/z"),
        (X, "", BREAKING, "inputs/x"),
        ("x: float32[2, 3]", "x: float32[n, n]", BREAKING, "inputs/x/shape/1"),
        ("x: float32[n]; z: float32[n]", "x: float32[2]; z: float32[3]", BREAKING, "inputs/x/shape"),
    ],
)
def test_a_change_of_the_inputs(before: str, after: str, compatibility: Compatibility, path: str | None) -> None:
    found = compare(signature(before), signature(after))
    assert found.compatibility is compatibility
    first = (*found.differences, *found.changes)[:1]
    assert [difference.path for difference in first] == ([] if path is None else [path])


@pytest.mark.parametrize(
    ("before", "after", "compatibility", "path"),
    [
        ("y: float32[batch, 3]", "y: float32[rows, 3]", IDENTICAL, None),
        ("y: float32[batch, 3]", "y: float32[batch, 3]; z: int64[batch]", WIDENING, "outputs/z"),
        ("y: float32[batch, 3]", "y: float32[1, 3]", WIDENING, "outputs/y/shape"),
        ("y: float32[1, 3]", "y: float32[batch, 3]", WIDENING, "outputs/y/shape"),
        ("y: float32[batch, 3]", "y: float32[...]", WIDENING, "outputs/y/shape"),
        ("y: float32[batch, 3]", "", BREAKING, "outputs/y"),
        ("y: float32[batch, 3]", "y: float32[batch, 2]", BREAKING, "outputs/y/shape"),
        ("y: float32[batch, 3]", "y: float32[batch]", BREAKING, "outputs/y/shape"),
        ("y: float32[batch, 3]", "y: float16[batch, 3]", BREAKING, "outputs/y/dtype"),
    ],
)
def test_a_change_of_the_outputs(before: str, after: str, compatibility: Compatibility, path: str | None) -> None:
    found = compare(signature(X, before), signature(X, after))
    assert found.compatibility is compatibility
    first = (*found.differences, *found.changes)[:1]
    assert [difference.path for difference in first] == ([] if path is None else [path])


def test_everything_is_listed_at_once() -> None:
    before = signature("x: float32[batch, 4]; k: int64[]", "y: float32[batch, 3]; p: float32[batch]")
    after = signature("x: float64[batch, 5]; z?: int64[1]", "y: int64[batch, 3]; q: float32[batch]")
    assert compare(before, after) == Comparison(
        compatibility=BREAKING,
        differences=(
            Difference(path="inputs/x/dtype", before="float32", after="float64"),
            Difference(path="inputs/x/shape", before="[batch, 4]", after="[batch, 5]"),
            Difference(path="inputs/k", before="int64[]", after="absent"),
            Difference(path="outputs/y/dtype", before="float32", after="int64"),
            Difference(path="outputs/p", before="float32[batch]", after="absent"),
        ),
        changes=(
            Difference(path="inputs/z", before="absent", after="int64[1]"),
            Difference(path="outputs/q", before="absent", after="float32[batch]"),
        ),
    )


def test_a_tie_names_both_places() -> None:
    assert compare(signature(TWO), signature("x: float32[n, 4]; z: float32[n, 4]")).differences == (
        Difference(path="inputs/z/shape/0", before="m", after="n, as in x"),
    )


def test_every_place_of_a_tie_is_named_however_many_there_are() -> None:
    names = [f"x{number}" for number in range(2000)]
    before = signature("; ".join(f"{name}: float32[{name}]" for name in names))
    after = signature("; ".join(f"{name}: float32[n]" for name in names))
    found = compare(before, after)
    assert (found.compatibility, len(found.differences)) == (NARROWING, 1999)
    assert compare(after, before).compatibility is WIDENING
    assert compare(after, after).compatibility is IDENTICAL


def wrapped(name: str, container: str, *shape: int | str) -> TensorSpec:
    return TensorSpec(name=name, dtype=DTYPES["float32"], shape=shape, containers=(container,))


def test_a_new_input_that_may_be_absent_by_its_type_breaks_nobody() -> None:
    before = signature(X)
    after = Signature(inputs=(*before.inputs, wrapped("z", OPTIONAL, 2)), outputs=before.outputs)
    there, back = compare(before, after), compare(after, before)
    assert (there.compatibility, there.differences, [change.path for change in there.changes]) == (
        WIDENING,
        (),
        ["inputs/z"],
    )
    assert back.compatibility is NARROWING


def test_sizes_inside_sequences_need_not_agree() -> None:
    before = Signature(inputs=(wrapped("x", SEQUENCE, "n"), wrapped("z", SEQUENCE, "m")), outputs=())
    after = Signature(inputs=(wrapped("x", SEQUENCE, "n"), wrapped("z", SEQUENCE, "n")), outputs=())
    assert compare(before, after).compatibility is IDENTICAL


def test_another_fixed_size_inside_a_sequence_breaks_callers() -> None:
    before, after = (Signature(inputs=(wrapped("x", SEQUENCE, size),), outputs=()) for size in (2, 3))
    assert compare(before, after).compatibility is BREAKING
