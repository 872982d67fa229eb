"""Made-up values for optional inputs, which have a default in the graph that a request may override.

What optimises a graph may take a default for granted. A value shows it if it is another one and the answer depends on
it: so there are several, of either sign and of different size, for all optional inputs together and for each alone,
since one that suits no model of this kind must not hide the others.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from registry.inspection.probes import Feed, Probe
from registry.signature import Signature
from registry.tensor import TensorSpec

_CHOICES: Final = (1, 0, 2, -1, -2)
_FLOATS = (0.5, 0.25, 1.0, 0.125, 0.75)
_FACTORS = {0: 0.0, 2: 1024.0, -1: -64.0, -2: -0.01}
_MAX_ELEMENTS = 64_000_000
"""In all optional inputs together: weights, where an exporter has made them inputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overriding:
    """Which optional inputs are given, and the kind of their values."""

    specs: tuple[TensorSpec, ...]
    choice: int

    def feed(self, probe: Probe, signature: Signature) -> Feed | None:
        """Return the probe's inputs and these besides, or None if they would be too large."""
        required = probe.feed(signature)
        shapes = probe.shapes((*(spec for spec in signature.inputs if not spec.optional), *self.specs))
        if required is None or sum(math.prod(shapes[spec.name]) for spec in self.specs) > _MAX_ELEMENTS:
            return None
        return {**required, **{spec.name: _tensor(spec, shapes[spec.name], self.choice) for spec in self.specs}}


def overridings(optional: Sequence[TensorSpec]) -> Iterator[Overriding]:
    """Yield what to try: all of these together, then each alone."""
    together = [tuple(optional)] if len(optional) > 1 else []
    for specs in (*together, *((spec,) for spec in optional)):
        for choice in _CHOICES:
            yield Overriding(specs=specs, choice=choice)


def _tensor(spec: TensorSpec, shape: tuple[int, ...], choice: int) -> NDArray[Any]:
    match spec.dtype.kind:
        case "f":  # averages as weights: a deep model neither overflows with them nor falls silent
            factor = _FACTORS.get(choice, 1 / max(1, math.prod(shape[1:])))
            return np.resize(np.array(_FLOATS) * factor, shape).astype(spec.dtype.numpy)
        case "i" if choice < 0:  # as a shape, "whatever is left" can stand in one place only
            tensor = np.ones(shape, spec.dtype.numpy)
            tensor.reshape(-1)[0 if choice == -1 else -1 :][:1] = -1
            return tensor
        case "O":
            return np.full(shape, str(choice), object)
        case _:
            return np.full(shape, abs(choice), spec.dtype.numpy)
