"""Tensors without elements, whose sizes cost a request nothing."""

import pytest

from registry.signature import Signature
from registry.tensor import Shape
from tests.support.signatures import signature, tensor


def faults(what: Signature, shape: tuple[int, ...]) -> list[str]:
    return [violation.code for violation in what.check({"x": shape})]


@pytest.mark.parametrize(
    ("wanted", "shape"),
    [(("n", "m"), (10**9, 0)), (None, (10**9, 0)), (("n", "m"), (0, 10**9))],
)
def test_free_sizes_beside_a_zero_must_be_sane(wanted: Shape | None, shape: tuple[int, ...]) -> None:
    assert faults(signature(tensor("x", "float32", wanted)), shape) == ["invalid_shape"]


@pytest.mark.parametrize(
    ("wanted", "shape"),
    [(("n", "m"), (65_536, 0)), ((10**9, "m"), (10**9, 0)), (("n", 3, "h", "w"), (0, 3, 1024, 1024))],
)
def test_other_empty_tensors_are_taken(wanted: Shape, shape: tuple[int, ...]) -> None:
    assert faults(signature(tensor("x", "float32", wanted)), shape) == []
