"""Does a converted model still say what the original says?

1. Outputs are compared in the graph's order; the graph may have more than the original answers with, and not fewer.
2. Shapes may differ in dimensions of size 1: converters give [n, 1] where the original gives [n].
3. Floats may differ by a thousandth of their size and 1e-5, or a thousandth of the output's largest, where all of it is
   smaller than a hundredth; zeros alone have no size. Whole numbers, booleans and text may not differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.client.errors import ConversionMismatch
from gateway.client.versions import Conversion, VersionInfo

RELATIVE_TOLERANCE = 1e-3
ABSOLUTE_TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """What the model said about the example before it was converted."""

    source: str
    """What it is: ``sklearn 1.9.1 LogisticRegression``."""
    inputs: Sequence[Any]
    """One array for each input, in the graph's order."""
    outputs: Sequence[Any]
    """One array for each output, in the graph's order."""


def compare(version: VersionInfo, *, original: Original, answer: Mapping[str, Any]) -> Conversion:
    """Hold a version's answer against the original's; return how far apart they are.

    Raises:
        ConversionMismatch: too far; it names the first output that is and the largest difference.
    """
    if len(version.outputs) < len(original.outputs):
        raise ConversionMismatch(
            reference=version.reference,
            output=f"number {len(version.outputs) + 1}",
            largest_difference=None,
            detail=f"it is missing; the version has {len(version.outputs)}, the original {len(original.outputs)}",
        )
    gaps: list[float] = []
    allowed: list[float] = []
    for spec, expected in zip(version.outputs, original.outputs, strict=False):
        name = spec["name"]
        tolerance = _absolute_tolerance(expected)
        largest, fault = _differences(expected, answer[name], tolerance)
        if fault is not None:
            raise ConversionMismatch(reference=version.reference, output=name, largest_difference=largest, detail=fault)
        if largest is not None:
            gaps.append(largest)
            allowed.append(tolerance)
    return Conversion(
        source=original.source,
        rows=len(original.inputs[0]) if original.inputs and original.inputs[0].ndim else 1,
        largest_difference=max(gaps, default=None),
        absolute_tolerance=min(allowed, default=ABSOLUTE_TOLERANCE),
        relative_tolerance=RELATIVE_TOLERANCE,
    )


def _absolute_tolerance(original: Any) -> float:
    """Return by how much the floats of an output may differ, however small they are."""
    import numpy as np

    before = np.asarray(original)
    if before.dtype.kind != "f":
        return ABSOLUTE_TOLERANCE
    size = float(np.max(np.abs(before[np.isfinite(before)]), initial=0))
    return min(ABSOLUTE_TOLERANCE, RELATIVE_TOLERANCE * size) if size else ABSOLUTE_TOLERANCE


def _differences(original: Any, converted: Any, tolerance: float) -> tuple[float | None, str | None]:
    """Return the largest difference between two floats, if there are any, and what is wrong, if anything is."""
    import numpy as np

    before, after = np.squeeze(np.asarray(original)), np.squeeze(np.asarray(converted))
    if before.shape != after.shape:
        return None, f"shape {list(converted.shape)} for {list(np.asarray(original).shape)}"
    if "b" in (before.dtype.kind, after.dtype.kind):  # converters make 0 and 1 of True and False
        before, after = (each.astype(int) if each.dtype.kind == "b" else each for each in (before, after))
    if "f" not in (before.dtype.kind, after.dtype.kind):
        differing = int(np.count_nonzero(before.astype(str) != after.astype(str)))
        return None, f"{differing} of {before.size} values are others" if differing else None
    wide_before, wide_after = before.astype(np.float64), after.astype(np.float64)
    with np.errstate(invalid="ignore"):
        gaps = np.abs(wide_after - wide_before)
    gaps = np.where((wide_before == wide_after) | (np.isnan(wide_before) & np.isnan(wide_after)), 0, gaps)
    largest = float(np.max(gaps, initial=0))
    if np.allclose(wide_after, wide_before, rtol=RELATIVE_TOLERANCE, atol=tolerance, equal_nan=True):
        return largest, None
    return largest, f"the largest difference is {largest:.3g}"
