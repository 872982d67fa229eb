"""What the workers of a host have found out about the inputs of each version, read from their boards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

from gateway.input_board import (
    COLUMN,
    FEWEST_REQUESTS,
    REFERENCE,
    UNSEEN,
    VERSION,
    ColumnSums,
    Found,
    hour_of,
    mark_in,
    mark_of,
    read_moments,
)
from gateway.shared_counts import Key
from registry.input_statistics import Moments, shift_of


def is_told(moments: Moments) -> bool:
    """Return whether a mean is one of enough values to tell nobody what a single one was."""
    return moments.finite >= FEWEST_REQUESTS


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnFound:
    """What the workers of a host have found of one column."""

    live: Moments = field(default_factory=Moments)
    """Of all the time."""
    recent: Moments = field(default_factory=Moments)
    """Of this hour and the one before it."""
    reference: Moments | None = None
    """None where no reference is known, or it has nothing for this input."""
    mark: str = ""
    """Of the examples that the reference is of."""
    texts: int = 0
    """Texts that were held against this reference."""
    unseen: int = 0
    """Of them, those that are not in it."""
    ever_unseen: int = 0
    """Those, and those that were not in references before it."""

    def against(self, digest: str) -> "ColumnFound":
        """Return this without its reference, if that is of other examples than those of this digest."""
        if self.mark == mark_of(digest):
            return self
        return replace(self, reference=None, texts=0, unseen=0)

    @property
    def shift(self) -> float | None:
        """How far the recent mean is beside the reference's (``shift_of``); None if not to be told, or unknown."""
        return shift_of(self.recent, self.reference) if is_told(self.recent) and self.reference is not None else None

    @property
    def unseen_share(self) -> float | None:
        """The part of the texts that is in none of the examples; None if none was held against them."""
        return self.unseen / self.texts if self.texts else None


@dataclass(slots=True)
class VersionFound:
    """What the workers of a host have found of one version."""

    looked_at: int = 0
    skipped: int = 0
    since: float | None = None
    """When the first request was looked at, in seconds since 1970."""
    columns: dict[tuple[str, int], ColumnFound] = field(default_factory=dict)
    """By the input's name and the column's place."""


def gather(found: Found, now: float) -> dict[tuple[str, str], VersionFound]:
    """Return what has been found of each version, by model and number.

    Args:
        found: what all boards have of each key, or of those that ``is_about_inputs``.
        now: monotonic seconds.
    """
    versions: dict[tuple[str, str], VersionFound] = {}
    unseen: dict[Key, dict[str, tuple[int, int]]] = {}
    for key, rows in found.items():
        if key[0] == UNSEEN:
            texts, others = (round(sum(column)) for column in zip(*rows, strict=True))
            unseen.setdefault(key[1:5], {})[key[5]] = texts, others
        elif key[0] == VERSION:
            version = versions.setdefault((key[1], key[2]), VersionFound())
            version.looked_at = round(sum(row[0] for row in rows))
            version.skipped = round(sum(row[1] for row in rows))
            version.since = min((row[2] for row in rows if row[2]), default=None)
    for column in {key[1:] for key in found if key[0] in (COLUMN, REFERENCE)}:
        model, number, name, place = column
        version = versions.setdefault((model, number), VersionFound())
        sums = [ColumnSums.read(row) for row in found.get((COLUMN, *column), ())]
        parts = (part for each in sums for part in each.recent(hour_of(now)))
        version.columns[name, int(place)] = replace(
            _referred(found.get((REFERENCE, *column), ()), unseen.get(column, {})),
            live=reduce(Moments.plus, (each.whole for each in sums), Moments()),
            recent=reduce(Moments.plus, parts, Moments()),
        )
    return versions


def _referred(references: Sequence[Sequence[float]], unseen: Mapping[str, tuple[int, int]]) -> ColumnFound:
    """Return what is known of a column's reference, and of the texts that are in none, by its mark."""
    newest = max((row for row in references if row[0]), default=None, key=lambda row: row[0])
    found = ColumnFound(ever_unseen=sum(each for _, each in unseen.values()))
    if newest is None or not (reference := read_moments(newest[2:])).count:
        return found
    mark = mark_in(newest[1])
    texts, others = unseen.get(mark, (0, 0))
    return replace(found, reference=reference, mark=mark, texts=texts, unseen=others)
