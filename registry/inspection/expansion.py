"""How many nodes a model has once every call of its own functions is replaced by the function's body.

The runtime does replace them, before anything else: thirty functions of which each calls the one before twice are three
kilobytes on disk and a thousand million nodes. So the number is computed, not found out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from registry.errors import InvalidArtifact

Operator: TypeAlias = tuple[bytes, bytes, bytes]
"""Domain, name and overload, as the file spells them; the default domain is empty."""


@dataclass(slots=True)
class Body:
    """The nodes of the main graph or of one function, those of its subgraphs among them."""

    nodes: int = 0
    calls: dict[Operator, int] = field(default_factory=dict)

    def add(self, operator: Operator) -> None:
        """Count one node."""
        self.nodes += 1
        self.calls[operator] = self.calls.get(operator, 0) + 1


def check_expansion(main: Body, functions: Mapping[Operator, Body], *, limit: int) -> None:
    """Make sure that the expanded model has at most ``limit`` nodes.

    Raises:
        InvalidArtifact: ``too_complex`` if it has more; ``invalid_model`` if a function ends up calling itself.
    """
    sizes: dict[Operator, int] = {}
    for called in main.calls:
        if called in functions:
            _measure(called, functions, sizes, limit)
    if _size(main, sizes, limit) > limit:
        raise InvalidArtifact("too_complex", f"with its functions expanded the model has more than {limit} nodes")


def _measure(root: Operator, functions: Mapping[Operator, Body], sizes: dict[Operator, int], limit: int) -> None:
    open_calls: set[Operator] = set()
    stack = [root]
    while stack:  # a stack of our own: a chain of functions may be longer than Python's
        here = stack[-1]
        missing = [called for called in functions[here].calls if called in functions and called not in sizes]
        if here not in sizes and missing:
            open_calls.add(here)
            if not open_calls.isdisjoint(missing):
                raise InvalidArtifact("invalid_model", "a function of the model calls itself")
            stack.extend(missing)
        else:
            sizes[here] = min(_size(functions[here], sizes, limit), limit + 1)
            open_calls.discard(here)
            stack.pop()


def _size(body: Body, sizes: Mapping[Operator, int], limit: int) -> int:
    total = body.nodes
    for called, count in body.calls.items():
        total += count * sizes.get(called, 0)
        if total > limit:
            return limit + 1
    return total
