"""What is compared with what: each round's own ratio, so that what the machine does meanwhile falls out of it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from bench.measuring import Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A ratio that somebody wants to know, and what it should be."""

    what: str
    model: str
    one: str
    other: str
    connections: int
    of: str = "rate"
    """``rate``: requests a second. ``cpu``: CPU time a request. ``p99``: the latency that one in a hundred exceeds."""
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """The median over the rounds, and how far they lie apart."""

    comparison: Comparison
    value: float
    low: float
    high: float

    @property
    def is_met(self) -> bool:
        wanted = self.comparison
        is_low = wanted.at_least is not None and self.value < wanted.at_least
        is_high = wanted.at_most is not None and self.value > wanted.at_most
        return not (is_low or is_high)


def find_ratio(comparison: Comparison, measurements: Sequence[Measurement]) -> Ratio | None:
    """Return the ratio over those rounds that have both sides; None if there is none."""
    sides: list[dict[int, float]] = []
    for name in (comparison.one, comparison.other):
        ours = [
            one
            for one in measurements
            if (one.model, one.contestant, one.connections) == (comparison.model, name, comparison.connections)
        ]
        sides.append({one.round: _value(one, comparison.of) for one in ours})
    one, other = sides
    ratios = [one[turn] / other[turn] for turn in one if other.get(turn)]
    if not ratios:
        return None
    return Ratio(comparison=comparison, value=median(ratios), low=min(ratios), high=max(ratios))


def _value(measurement: Measurement, of: str) -> float:
    values = {
        "rate": measurement.load.requests_per_second,
        "cpu": measurement.cpu_us_per_request,
        "p99": float(measurement.load.p99_us),
    }
    return values[of]


def format_ratio(ratio: Ratio) -> str:
    """One line: what, the median with the lowest and highest round, and what was wanted."""
    wanted = ratio.comparison
    aims = [f"at least {wanted.at_least:g}"] if wanted.at_least is not None else []
    aims += [f"at most {wanted.at_most:g}"] if wanted.at_most is not None else []
    verdict = "" if not aims else f"   {' and '.join(aims)}: {'met' if ratio.is_met else 'NOT MET'}"
    return f"{wanted.what:66}{ratio.value:7.2f}  ({ratio.low:.2f} to {ratio.high:.2f}){verdict}"


def ratios_as_json(ratios: Sequence[Ratio]) -> list[dict[str, Any]]:
    return [asdict(ratio) for ratio in ratios]
