"""Which operators a model may use: those of the standard, of the runtime's contributed domain, and its own functions.

None may name a file. A function in a domain of the runtime's own counts for nothing: where the runtime has an operator
of that name, it takes its own.
"""

from collections.abc import Mapping
from typing import Final

from registry.errors import InvalidArtifact
from registry.inspection.expansion import Body, Operator
from registry.names import quoted

DOMAINS: Final = frozenset({b"", b"ai.onnx.ml", b"com.microsoft"})
"""Of operators; ``ai.onnx`` is another spelling of the empty one."""

_FILE_OPERATORS = frozenset({b"EPContext"})

_RUNTIME_DOMAINS = frozenset(
    {
        b"ai.onnx.preview",
        b"ai.onnx.preview.training",
        b"ai.onnx.training",
        b"com.microsoft.dml",
        b"com.microsoft.experimental",
        b"com.microsoft.extensions",
        b"com.microsoft.mlfeaturizers",
        b"com.microsoft.nchwc",
        b"com.ms.internal.nhwc",
        b"com.xilinx",
        b"org.pytorch.aten",
    }
)
"""Besides DOMAINS, those in which a runtime may have operators that nobody should write down."""


def check_operators(body: Body, functions: Mapping[Operator, Body]) -> None:
    """Make sure that a graph or function uses no other operators.

    Raises:
        InvalidArtifact: ``unsupported_operator``.
    """
    for operator in body.calls:
        if not _is_allowed(operator, functions):
            raise InvalidArtifact(
                "unsupported_operator",
                f"the model uses the operator {shown(operator)}, which is neither standard ONNX nor a function of the "
                "model itself: export it with standard operators, or with its functions inside",
            )


def shown(operator: Operator) -> str:
    """Return an operator as a message spells it."""
    domain, name, _ = operator
    return quoted((domain + b"." + name if domain else name).decode("utf-8", "replace"))


def _is_allowed(operator: Operator, functions: Mapping[Operator, Body]) -> bool:
    domain, name, _ = operator
    if domain in DOMAINS:
        return name not in _FILE_OPERATORS
    return operator in functions and domain not in _RUNTIME_DOMAINS
