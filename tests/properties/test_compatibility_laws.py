"""The gate's verdicts against a truth table: every request of a small world, tried on both signatures."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from registry.compatibility import Compatibility, compare
from registry.signature import Signature
from registry.tensor import DTYPES, Shape, TensorSpec

SIZES = (1, 2, 3)
NAMES = ("a", "b")
TYPES = ("float32", "int64")

Tensor = tuple[str, tuple[int, ...]]
Request = tuple[Tensor | None, ...]
"""What is sent for each of the names, None for nothing."""

# Fixed sizes leave one free that no signature names: what is fixed is less than what is free.
DIMS = st.sampled_from([1, 2, "N", "M", None])
SHAPES = st.none() | st.lists(DIMS, max_size=2).map(tuple)


def specs(names: tuple[str, ...], *, optional: bool) -> st.SearchStrategy[tuple[TensorSpec, ...]]:
    def spec(name: str) -> st.SearchStrategy[TensorSpec]:
        return st.builds(
            TensorSpec,
            name=st.just(name),
            dtype=st.sampled_from([DTYPES[dtype] for dtype in TYPES]),
            shape=SHAPES,
            optional=st.booleans() if optional else st.just(value=False),
        )

    return st.lists(st.sampled_from(names), unique=True).flatmap(lambda chosen: st.tuples(*map(spec, chosen)))


SIGNATURES = st.builds(Signature, inputs=specs(NAMES, optional=True), outputs=specs(("y",), optional=False))


@lru_cache(maxsize=1)
def world() -> tuple[Request, ...]:
    shapes = [shape for rank in range(3) for shape in product(SIZES, repeat=rank)]
    tensors: list[Tensor | None] = [None, *product(TYPES, shapes)]
    return tuple(product(tensors, repeat=len(NAMES)))


def accepted(signature: Signature) -> Iterator[Request]:
    dtypes = {spec.name: spec.dtype.name for spec in signature.inputs}
    for request in world():
        sent = {name: tensor for name, tensor in zip(NAMES, request, strict=True) if tensor is not None}
        if not signature.check({name: shape for name, (_, shape) in sent.items()}) and all(
            dtypes[name] == dtype for name, (dtype, _) in sent.items()
        ):
            yield request


def answers_changed(before: Signature, after: Signature) -> bool:
    new = {spec.name: spec for spec in after.outputs}
    return any(
        spec.name not in new or spec.dtype != new[spec.name].dtype or not might_meet(spec.shape, new[spec.name].shape)
        for spec in before.outputs
    )


def might_meet(one: Shape | None, other: Shape | None) -> bool:
    """True if some array has both shapes."""
    arrays = [shape for rank in range(3) for shape in product(SIZES, repeat=rank)]

    def fits(wanted: Shape | None, shape: tuple[int, ...]) -> bool:
        return wanted is None or (
            len(wanted) == len(shape)
            and all(dim == size for dim, size in zip(wanted, shape, strict=True) if isinstance(dim, int))
        )

    return any(fits(one, shape) and fits(other, shape) for shape in arrays)


def verdict(before: Signature, after: Signature) -> set[Compatibility]:
    """Return what the truth table allows; what is no wider may still look other than it was."""
    old, new = set(accepted(before)), set(accepted(after))
    if answers_changed(before, after) or (old and not old & new):
        return {Compatibility.BREAKING}
    if not old <= new:
        return {Compatibility.NARROWING}
    if old < new:
        return {Compatibility.WIDENING}
    return {Compatibility.IDENTICAL, Compatibility.WIDENING}


@settings(max_examples=300)
@given(SIGNATURES, SIGNATURES)
def test_the_verdict_is_that_of_the_truth_table(before: Signature, after: Signature) -> None:
    found = compare(before, after)
    assert found.compatibility in verdict(before, after)
    assert bool(found.differences) == (found.compatibility in {Compatibility.NARROWING, Compatibility.BREAKING})


@given(SIGNATURES, st.permutations(["N", "M", "K"]))
def test_what_free_dimensions_are_called_makes_no_difference(signature: Signature, names: list[str]) -> None:
    renaming = dict(zip(("N", "M"), names, strict=False))

    def renamed(spec: TensorSpec) -> TensorSpec:
        shape = None if spec.shape is None else tuple(rename(renaming, dim) for dim in spec.shape)
        return TensorSpec(name=spec.name, dtype=spec.dtype, shape=shape, optional=spec.optional)

    other = Signature(inputs=tuple(map(renamed, signature.inputs)), outputs=tuple(map(renamed, signature.outputs)))
    found = compare(signature, other)
    assert (found.compatibility, found.differences, found.changes) == (Compatibility.IDENTICAL, (), ())


def rename(renaming: Mapping[str, str], dim: int | str | None) -> int | str | None:
    return renaming[dim] if isinstance(dim, str) else dim


@given(SIGNATURES)
def test_a_signature_is_identical_to_itself(signature: Signature) -> None:
    assert compare(signature, signature).compatibility is Compatibility.IDENTICAL
