"""A line of a few numbers, small enough to stand in a row of a table."""

from collections.abc import Sequence
from typing import Final

WIDTH: Final = 120
HEIGHT: Final = 24
_EDGE: Final = 1.5
"""Room for the line's own width."""


def sparkline_points(values: Sequence[float]) -> str:
    """Return the ``points`` of an SVG polyline, ``WIDTH`` by ``HEIGHT``: nothing is its foot, the largest its head."""
    most = max(values, default=0.0)
    step = WIDTH / max(1, len(values) - 1)
    room = HEIGHT - 2 * _EDGE
    heights = [room * value / most if most > 0 else 0.0 for value in values]
    return " ".join(f"{step * at:.1f},{HEIGHT - _EDGE - height:.1f}" for at, height in enumerate(heights))
