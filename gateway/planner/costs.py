"""What a version costs: its load, its memory, its runs, its files. Measured ones, where there are any.

1. A line of a file of costs is a version as the registry has it (``sardonyx versions NAME --json``), or a kind: what a
   ``share`` of all versions is like, those left out by the others. The versions that a kind stands for differ from it
   by chance, by their names: in most of them each number lies between half and double.
2. A log knows how long loads took for which requests have waited: the quickest quarter is what the load itself takes,
   the others waited for processors and for each other. It is at most what the registry says: a load of the log has the
   fetch of its files in it, which is counted by itself. Where some loads of a log are known, those of other versions
   are reckoned from the registry's, by what the known ones took beside theirs: it measures plain loads, and most are of
   prepared models. Where nothing else is known, a version's run takes what its requests take in the median, its load
   what the slowest one took longer than that, and its memory what a line ``prepared`` says.
3. What is known from nowhere has a kind of ``KINDS``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from zlib import crc32

import numpy as np
import orjson
from numpy.typing import NDArray

from gateway.planner.load import Version
from gateway.serving.cache_entry import MIN_SESSION_BYTES

MOST_BYTES: Final = 2**50
MOST_SECONDS: Final = 86_400
"""What is said to be more than that is a mistake."""

_FIELDS: Final = ("load_seconds", "memory_bytes", "run_seconds", "file_bytes")
_SPREAD: Final = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one version costs on one host."""

    load_seconds: float
    """Making its session of files that are on the disk."""
    memory_bytes: int
    run_seconds: float
    file_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What some versions are like."""

    share: float
    cost: Cost


KINDS: Final = (
    Kind(share=0.5, cost=Cost(load_seconds=0.001, memory_bytes=130_000, run_seconds=0.00002, file_bytes=20_000)),
    Kind(share=0.25, cost=Cost(load_seconds=0.008, memory_bytes=3_000_000, run_seconds=0.0001, file_bytes=6_000_000)),
    Kind(share=0.15, cost=Cost(load_seconds=0.03, memory_bytes=8_000_000, run_seconds=0.001, file_bytes=25_000_000)),
    Kind(share=0.1, cost=Cost(load_seconds=0.2, memory_bytes=100_000_000, run_seconds=0.01, file_bytes=100_000_000)),
)
"""Tiny ones, prepared ones of two sizes, and large ones that cannot be prepared: as ``python -m bench.eviction``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What each of a load's versions costs: [versions] each."""

    load_seconds: NDArray[np.float64]
    memory_bytes: NDArray[np.int64]
    """At least what the smallest session takes."""
    run_seconds: NDArray[np.float64]
    file_bytes: NDArray[np.int64]
    known_count: int
    """Of how many is known what they take in memory; that of the others is their kind's."""


class BadCostsError(ValueError):
    """A file of costs says what cannot be; the message names the line."""


def costs_of(
    versions: Sequence[Version], known: Mapping[Version, Mapping[str, float]], kinds: Sequence[Kind] = KINDS
) -> Costs:
    """Return what each version costs.

    Args:
        versions: of the load.
        known: what is measured, by the names of ``Cost``; what is left out has the version's kind.
        kinds: what the others are like; their shares come to 1.
    """
    numbers = np.fromiter((crc32(b"%b:%d" % (name.encode(), number)) for name, number in versions), np.uint32)
    spread = np.random.default_rng(0).lognormal(0, _SPREAD, (4096, len(_FIELDS)))[numbers % 4096]
    drawn = np.searchsorted(np.cumsum([kind.share for kind in kinds[:-1]]), numbers / 2**32, side="right")
    table = np.array([[getattr(kind.cost, field) for field in _FIELDS] for kind in kinds], np.float64)
    values = table[drawn] * spread
    count = 0
    if known:
        for index, version in enumerate(versions):
            found = known.get(version)
            if found:
                count += "memory_bytes" in found
                for field, value in found.items():
                    values[index, _FIELDS.index(field)] = value
    return Costs(
        load_seconds=values[:, 0],
        memory_bytes=np.maximum(MIN_SESSION_BYTES, values[:, 1]).astype(np.int64),
        run_seconds=values[:, 2],
        file_bytes=values[:, 3].astype(np.int64),
        known_count=count,
    )


def merge(*sources: Mapping[Version, Mapping[str, float]]) -> dict[Version, dict[str, float]]:
    """Return what all of these know of versions; later ones know better."""
    merged: dict[Version, dict[str, float]] = {}
    for source in sources:
        for version, found in source.items():
            merged.setdefault(version, {}).update(found)
    return merged


def with_loads(
    known: Mapping[Version, Mapping[str, float]], loads: Mapping[Version, Sequence[float]]
) -> dict[Version, dict[str, float]]:
    """Return what is known, with loads as they were (rule 2).

    Args:
        known: what the registry has measured.
        loads: the seconds of loads for which requests have waited.
    """
    found = {
        version: min(float(np.percentile(seconds, 25)), known.get(version, {}).get("load_seconds", MOST_SECONDS))
        for version, seconds in loads.items()
    }
    ratios = [
        seconds / known[it]["load_seconds"] for it, seconds in found.items() if known.get(it, {}).get("load_seconds")
    ]
    ratio = float(np.median(ratios)) if ratios else 1.0
    others = {
        it: {**cost, "load_seconds": cost["load_seconds"] * ratio}
        for it, cost in known.items()
        if "load_seconds" in cost
    }
    return merge(known, others, {version: {"load_seconds": seconds} for version, seconds in found.items()})


def cost_of_version(document: Mapping[str, Any]) -> dict[str, float]:
    """Return what a version costs that the registry describes (``load_seconds``, ``memory_bytes`` ...).

    Raises:
        BadCostsError: a number is none, below zero, or more than a machine has.
    """
    found = {}
    for field in _FIELDS:
        value = document.get("size_bytes", document.get(field)) if field == "file_bytes" else document.get(field)
        if value is None:
            continue
        most = MOST_BYTES if field.endswith("_bytes") else MOST_SECONDS
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            raise BadCostsError(f"{field} is {value!r}, not a number from 0 to {most}")
        found[field] = float(value)
    return found


def read_costs(content: bytes) -> tuple[dict[Version, dict[str, float]], tuple[Kind, ...]]:
    """Return the measured versions and the kinds of a file: lines of JSON, or one JSON list.

    Raises:
        BadCostsError: a line is neither or says no cost, the shares come to more than 1, or there is nothing at all.
    """
    known: dict[Version, dict[str, float]] = {}
    kinds: list[Kind] = []
    for number, document in enumerate(_documents(content), 1):
        try:
            if "share" in document:
                kinds.append(_kind(document))
            else:
                version = _version(document)
                known[version] = _some_cost(document)
        except BadCostsError as error:
            raise BadCostsError(f"line {number}: {error}") from None
    if not known and not kinds:
        raise BadCostsError("it has no entries")
    total = sum(kind.share for kind in kinds)
    if total > 1 + 1e-9:
        raise BadCostsError(f"the shares of the kinds come to {total:g}, more than 1")
    rest = [Kind(share=kind.share * (1 - total), cost=kind.cost) for kind in KINDS] if total < 1 - 1e-9 else []
    return known, (*kinds, *rest) if kinds else KINDS


def _documents(content: bytes) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a JSON list, or of lines."""
    try:
        whole = orjson.loads(content)
    except orjson.JSONDecodeError:
        whole = [_document(number, line) for number, line in enumerate(content.splitlines(), 1) if line.strip()]
    for number, document in enumerate(whole if isinstance(whole, list) else [whole], 1):
        if not isinstance(document, dict):
            raise BadCostsError(f"line {number} is no object")
        yield document


def _document(number: int, line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadCostsError(f"line {number} is no JSON: {error}") from None


def _version(document: Mapping[str, Any]) -> Version:
    model, number = document.get("model"), document.get("version")
    if not isinstance(model, str) or not isinstance(number, int):
        raise BadCostsError("it says neither model and version nor share")
    return model, number


def _some_cost(document: Mapping[str, Any]) -> dict[str, float]:
    found = cost_of_version(document)
    if not found:
        raise BadCostsError(f"it says none of {', '.join(_FIELDS)}")
    return found


def _kind(document: Mapping[str, Any]) -> Kind:
    found = cost_of_version(document)
    share = document["share"]
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise BadCostsError(f"share is {share!r}, not a number above 0, up to 1")
    missing = [field for field in _FIELDS if field not in found]
    if missing:
        raise BadCostsError(f"the kind does not say {' and '.join(missing)}")
    cost = Cost(
        load_seconds=found["load_seconds"],
        memory_bytes=int(found["memory_bytes"]),
        run_seconds=found["run_seconds"],
        file_bytes=int(found["file_bytes"]),
    )
    return Kind(share=float(share), cost=cost)
