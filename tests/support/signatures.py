"""Signatures in a few words."""

from registry.signature import Signature
from registry.tensor import DTYPES, Shape, TensorSpec


def tensor(name: str, dtype: str, shape: Shape | None, *, optional: bool = False) -> TensorSpec:
    return TensorSpec(name=name, dtype=DTYPES[dtype], shape=shape, optional=optional)


def signature(*inputs: TensorSpec, outputs: tuple[TensorSpec, ...] = ()) -> Signature:
    return Signature(inputs=inputs, outputs=outputs)


IRIS = signature(
    tensor("x", "float32", ("batch", 4)),
    outputs=(tensor("label", "int64", ("batch",)), tensor("probabilities", "float32", ("batch", 3))),
)
"""One input, two outputs, a symbol: what most models look like."""

SHOP = signature(
    tensor("user", "int64", ("n",)),
    tensor("words", "string", ("n", 2)),
    tensor("discount", "float64", (), optional=True),
    outputs=(tensor("score", "float32", ("n",)),),
)
"""Several inputs that share a symbol, text, and a scalar with a default."""
