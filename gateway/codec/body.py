"""What a predict body says, once it is understood."""

from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
"""A C-contiguous array of one of the dtypes of ``registry.tensor.DTYPES``."""

INFINITE_WORDS = ("NaN", "Infinity", "-Infinity")
"""The floats that JSON has no number for, as the JSON mapping of Protocol Buffers spells them."""


class PredictBody(msgspec.Struct, frozen=True):
    """A decoded request: it fits the signature it was decoded with."""

    feed: dict[str, np.ndarray[Any, Any]]
    """Input name to array, in the order of the signature."""
    outputs: tuple[str, ...] | None
    """The outputs that were asked for, None for all."""
    id: str | None
    """The caller's own name for the request, to be given back."""
    reply: Any = None
    """What else the answer depends on; whoever decoded the body knows what it is."""
