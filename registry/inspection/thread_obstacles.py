"""Which graphs a trial with several threads could prove nothing about (``thread_trial``, rule 3)."""

from typing import Final

from registry.names import quoted
from registry.signature import Signature

_BY_SHAPE: Final = frozenset(
    {
        "Abs",
        "Add",
        "AveragePool",
        "BatchNormalization",
        "Clip",
        "Concat",
        "Constant",
        "Conv",
        "ConvTranspose",
        "Div",
        "Dropout",
        "Elu",
        "Erf",
        "Exp",
        "Flatten",
        "Gelu",
        "Gemm",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "InstanceNormalization",
        "LRN",
        "LayerNormalization",
        "LeakyRelu",
        "Log",
        "MatMul",
        "Max",
        "MaxPool",
        "Min",
        "Mul",
        "Neg",
        "PRelu",
        "Pad",
        "Pow",
        "Reciprocal",
        "Relu",
        "Selu",
        "Sigmoid",
        "Softmax",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Sum",
        "Tanh",
        "Transpose",
        "Unsqueeze",
    }
)
"""What computes floats of floats and nothing that a last bit could hide behind, in sizes that follow from sizes."""


def obstacle(operators: frozenset[str], signature: Signature, *, is_bounded: bool) -> str:
    """Return why a graph of these operators is not to be tried; empty if it is."""
    if not is_bounded:
        return "how long a run takes depends on what is in its inputs"
    for name in sorted(operators - _BY_SHAPE):
        return f"{name} is not among the operators whose bits a trial can prove"
    for spec in (*signature.inputs, *signature.outputs):
        if spec.dtype.kind != "f":
            return f"{quoted(spec.name)} is no float: a trial could not see the last bit"
    return ""
