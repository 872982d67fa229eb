"""What two looks at ``/metrics`` say of the time between them.

1. What the gateway counts only grows; a count that has shrunk belongs to a gateway that was started anew, and counts
   from zero. A name that is not there counts nothing: gateways of other releases have other names.
2. A quantile is that of the answers in between, read off the histogram's buckets by a straight line within one. What
   lies beyond the last bucket is said to be as long as that one's bound.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Final

REQUESTS: Final = "sardonyx_predict_requests_total"
BUCKETS: Final = "sardonyx_predict_seconds_bucket"

_SAMPLE = re.compile(r"([A-Za-z_:][A-Za-z0-9_:]*)(?:\{(.*)\})? ([^ ]+)(?: .*)?")
_LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*+)"\s*(?:,\s*|$)')
_ESCAPES: Final = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}

Version = tuple[str, str]
"""A model's name, and a version's number as the metrics write it."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """One look."""

    totals: Mapping[str, float]
    """What has no labels."""
    answers: Mapping[Version, Mapping[str, float]]
    """Of each version, how many answers by code."""
    buckets: Mapping[Version, Mapping[float, float]]
    """Of each version, how many answers took at most so many seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What one version has answered between two looks."""

    model: str
    version: str
    answers: float
    failed: Mapping[str, float] = field(default_factory=dict)
    """By code, those that are no ``ok``."""
    p50_seconds: float | None = None
    p99_seconds: float | None = None


def read_scrape(text: str) -> Scrape:
    """Read the text format of Prometheus, as far as it is ours; anything else in it is passed over."""
    totals: dict[str, float] = {}
    answers: defaultdict[Version, dict[str, float]] = defaultdict(dict)
    buckets: defaultdict[Version, dict[float, float]] = defaultdict(dict)
    for name, labels, value in _samples(text):
        version = labels.get("model", ""), labels.get("version", "")
        if name == REQUESTS:
            answers[version][labels.get("code", "")] = value
        elif name == BUCKETS:
            bound = _number(labels.get("le", ""))
            if bound is not None and set(labels) == {"model", "version", "le"}:
                buckets[version][bound] = value
        elif not labels:
            totals[name] = value
    return Scrape(totals, answers, buckets)


def growth(before: Scrape | None, after: Scrape, name: str) -> float:
    """Return how much a count has grown; from zero, if there was no look before."""
    now = after.totals.get(name, 0.0)
    return _grown(0.0 if before is None else before.totals.get(name, 0.0), now)


def traffic(before: Scrape | None, after: Scrape) -> list[Traffic]:
    """Return what each version has answered since, busiest first; those that have answered nothing are left out."""
    found = []
    for version, codes in after.answers.items():
        known = {} if before is None else before.answers.get(version, {})
        grown = {code: _grown(known.get(code, 0.0), count) for code, count in codes.items()}
        answers = sum(grown.values())
        if answers > 0:
            found.append(
                Traffic(
                    model=version[0],
                    version=version[1],
                    answers=answers,
                    failed={code: count for code, count in grown.items() if count and code != "ok"},
                    p50_seconds=_quantile(before, after, version, 0.5),
                    p99_seconds=_quantile(before, after, version, 0.99),
                )
            )
    return sorted(found, key=lambda one: (-one.answers, one.model, one.version))


def _quantile(before: Scrape | None, after: Scrape, version: Version, share: float) -> float | None:
    now = after.buckets.get(version, {})
    known = {} if before is None else before.buckets.get(version, {})
    counts = [(bound, _grown(known.get(bound, 0.0), now[bound])) for bound in sorted(now)]
    if not counts or counts[-1][1] <= 0:
        return None
    wanted = counts[-1][1] * share
    lower, below = 0.0, 0.0
    for bound, count in counts:
        if count >= wanted:
            if bound == inf:
                return lower
            return lower + (bound - lower) * ((wanted - below) / (count - below) if count > below else 1.0)
        lower, below = bound, count
    return lower


def _grown(before: float, now: float) -> float:
    return now - before if now >= before else now


def _samples(text: str) -> Iterator[tuple[str, Mapping[str, str], float]]:
    for line in text.splitlines():
        found = None if line.startswith("#") else _SAMPLE.fullmatch(line)
        value = None if found is None else _number(found[3])
        if found is not None and value is not None:
            labels = _labels(found[2] or "")
            if labels is not None:
                yield found[1], labels, value


def _labels(text: str) -> Mapping[str, str] | None:
    """Return what stands between the braces, read once from left to right; None if it is not labels alone."""
    found: dict[str, str] = {}
    place = 0
    while place < len(text):
        label = _LABEL.match(text, place)
        if label is None:
            return None
        found[label[1]] = _plain(label[2])
        place = label.end()
    return found


def _plain(label: str) -> str:
    return re.sub(r"\\.", lambda escape: _ESCAPES.get(escape[0], escape[0]), label)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
