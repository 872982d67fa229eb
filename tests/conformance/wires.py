"""What every wire of the conformance run has to say about itself."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from tests.conformance.values import Value, types_in

PLAIN = frozenset(
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 string".split()  # noqa: SIM905
)
"""The element types that numpy has as well; strings are text."""


class RefusedError(Exception):
    """The gateway answered with an error, or with what is no answer in the wire's words."""


class Wire(Protocol):
    """One way to ask the gateway for a run."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def types(self) -> frozenset[str]:
        """The element types and containers that its own specification can spell."""

    @property
    def one_nan(self) -> bool:
        """True if it has one word for all that is not a number."""

    def predict(self, model: str, inputs: Mapping[str, Value], like: Mapping[str, Value]) -> dict[str, Value]:
        """Run version 1 of a model.

        Args:
            model: its name.
            inputs: all of them, by name.
            like: the answer that is expected; only its types are looked at, where the wire does not tell them.

        Raises:
            RefusedError: there was no answer that could be read.
        """


def unspellable(wire: Wire, values: Sequence[Value]) -> set[str]:
    """Return the types and containers in these values that the wire has no words for."""
    return {name for value in values for name in types_in(value)} - wire.types
