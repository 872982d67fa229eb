"""Does a converted model still say what the original says?

1. Outputs are compared in the graph's order; the graph may have more than the original answers with.
2. Shapes may differ in dimensions of size 1: converters give [n, 1] where the original gives [n].
3. Floats may differ by a thousandth of their size and 1e-5; whole numbers, booleans and text may not differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.client.errors import ConversionMismatch
from gateway.client.versions import VersionInfo

RELATIVE_TOLERANCE = 1e-3
ABSOLUTE_TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """What the model said about the example before it was converted."""

    inputs: Sequence[Any]
    """One array for each input, in the graph's order."""
    outputs: Sequence[Any]
    """One array for each output, in the graph's order."""


def compare(version: VersionInfo, *, expected: Sequence[Any], answer: Mapping[str, Any]) -> None:
    """Hold a version's answer against the original's.

    Raises:
        ConversionMismatch: they differ; it names the first output that does and the largest difference.
    """
    for spec, original in zip(version.outputs, expected, strict=False):
        name = spec["name"]
        fault = _fault(original, answer[name])
        if fault is not None:
            largest, detail = fault
            raise ConversionMismatch(
                reference=version.reference, output=name, largest_difference=largest, detail=detail
            )


def _fault(original: Any, converted: Any) -> tuple[float | None, str] | None:
    import numpy as np

    before, after = np.squeeze(np.asarray(original)), np.squeeze(np.asarray(converted))
    if before.shape != after.shape:
        return None, f"shape {list(converted.shape)} for {list(np.asarray(original).shape)}"
    if "f" not in (before.dtype.kind, after.dtype.kind):
        differing = int(np.count_nonzero(before.astype(str) != after.astype(str)))
        return (None, f"{differing} of {before.size} values are others") if differing else None
    wide_before, wide_after = before.astype(np.float64), after.astype(np.float64)
    if np.allclose(wide_after, wide_before, rtol=RELATIVE_TOLERANCE, atol=ABSOLUTE_TOLERANCE, equal_nan=True):
        return None
    gaps = np.abs(wide_after - wide_before)
    largest = float(np.nanmax(gaps)) if not np.isnan(gaps).all() else float("nan")
    return largest, f"the largest difference is {largest:.3g}"
