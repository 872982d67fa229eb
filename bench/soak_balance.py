"""Whether a gateway ends where it began: what was read of it each second, added up and held against limits.

1. A reading is a number for each measure. The beginning and the end are medians over some readings in quiet moments;
   the highest counts in between as well.
2. Memory may be a tenth above its beginning, and never complains of a few hundred kilobytes. It may be below.
3. Of all else there may be two more, or two fewer.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

SHARE = 1.10
SLACK_BYTES = 1 << 20
SLACK_COUNT = 2
BYTES = "bytes"
"""The last word of a measure of memory."""

Reading = Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What became of one measure."""

    measure: str
    start: float
    highest: float
    end: float

    @property
    def is_memory(self) -> bool:
        return self.measure.endswith(BYTES)

    @property
    def is_balanced(self) -> bool:
        """By rules 2 and 3."""
        if self.is_memory:
            return self.end <= max(self.start * SHARE, self.start + SLACK_BYTES)
        return abs(self.end - self.start) <= SLACK_COUNT


class Highest:
    """The highest of each measure so far, so that half an hour of readings need not be kept."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}

    def add(self, reading: Reading) -> None:
        for measure, value in reading.items():
            self.values[measure] = max(value, self.values.get(measure, value))


def middle(readings: Sequence[Reading]) -> dict[str, float]:
    """Return the median of each measure."""
    return {measure: statistics.median(reading[measure] for reading in readings) for measure in readings[0]}


def balance(start: Mapping[str, float], highest: Reading, end: Mapping[str, float]) -> list[Line]:
    """Return a line for each measure, in the order of the beginning."""
    return [
        Line(measure=measure, start=value, highest=highest[measure], end=end[measure])
        for measure, value in start.items()
    ]


def table(lines: Iterable[Line]) -> str:
    """Return the lines for people: memory in megabytes, and what is not as it should be."""
    rows = [f"{'':32}{'start':>10}{'highest':>10}{'end':>10}"]
    for line in lines:
        numbers = (line.start, line.highest, line.end)
        shown = "".join(f"{value / 1e6:10.1f}" if line.is_memory else f"{value:10.0f}" for value in numbers)
        name = line.measure.removesuffix(BYTES) + "MB" if line.is_memory else line.measure
        rows.append(f"{name:32}{shown}{'' if line.is_balanced else '   not where it began'}")
    return "\n".join(rows)
