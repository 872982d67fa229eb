"""What requests bring to each version, as the workers of a host add it up on their boards.

1. A version has a key of what was looked at. Each column of its inputs has one of its moments, one of its reference,
   and one of its unseen texts for each reference that it has had.
2. Numbers come to a board ``FEWEST_REQUESTS`` at a time, or more: whoever looks twice sees either the same or the mean
   of so many more, and never what a single request has brought. Of an input that fewer have brought, nothing is known.
3. Moments are written to the side of a key that is not shown, which is then: who reads sees them whole, whenever it is.
4. At most ``MOST_COLUMNS_OF_ALL`` of a worker have keys, first come first: of a version that comes later nothing is
   known. What has been counted stays until the gateway ends: no sum may fall.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from gateway.shared_counts import NOWHERE, Counts, Key
from registry.input_statistics import Moments, shift_of

FEWEST_REQUESTS: Final = 20

MOST_COLUMNS_OF_ALL: Final = 32_768

_VERSION, _COLUMN, _REFERENCE, _UNSEEN = "inputs", "inputs-column", "inputs-reference", "inputs-unseen"
_KINDS: Final = frozenset({_VERSION, _COLUMN, _REFERENCE, _UNSEEN})

_MOMENTS: Final = 7
"""How many numbers moments are."""
_SIDES: Final = 1
"""Where the sides of a column begin, behind the number of the one that is shown."""
_COLUMN_WIDTH: Final = _SIDES + 2 * _MOMENTS
_VERSION_WIDTH: Final = 3
_REFERENCE_WIDTH: Final = 2 + _MOMENTS
_MARK_DIGITS: Final = 12
"""Of a digest, so many say which reference is meant: a float has room for them."""

Found: TypeAlias = Mapping[Key, Sequence[Sequence[float]]]
"""What every board has of each key."""


def is_about_inputs(key: Key) -> bool:
    """Return whether a key of a board is one of those here."""
    return key[0] in _KINDS


def mark_of(digest: str) -> str:
    """Return what is kept of a digest."""
    return digest[:_MARK_DIGITS]


# --- writing ----------------------------------------------------------------------------------------------------------


class InputBoard:
    """A worker's own board; used by one thread at a time, but for ``take_room``.

    Args:
        counts: the board.
        most: columns of all versions.
    """

    def __init__(self, counts: Counts, most: int = MOST_COLUMNS_OF_ALL) -> None:
        self._counts = counts
        self._left = most - counts.count(_COLUMN)

    def take_room(self, model: str, number: int, columns: int) -> bool:
        """Return whether a version with so many columns may be written about; to be asked once, before it is."""
        if self._counts.has(_VERSION, model, str(number)):
            return True  # by the worker that was here before
        if columns > self._left:
            return False
        self._left -= columns
        return True

    def count(self, model: str, number: int, *, looked_at: int, skipped: int, now: float) -> None:
        """Count requests.

        Args:
            model: of the version.
            number: of the version.
            looked_at: requests that were.
            skipped: requests that were not.
            now: seconds since 1970.
        """
        at, numbers = self._counts.slot(_VERSION, model, str(number), width=_VERSION_WIDTH), self._counts.numbers
        numbers[at] += looked_at
        numbers[at + 1] += skipped
        numbers[at + 2] = numbers[at + 2] or now

    def add(self, model: str, number: int, name: str, moments: Sequence[Moments]) -> None:
        """Add what at least ``FEWEST_REQUESTS`` requests have brought for an input, a column at a time."""
        numbers = self._counts.numbers
        for place, more in enumerate(moments):
            begin = self._counts.slot(_COLUMN, model, str(number), name, str(place), width=_COLUMN_WIDTH)
            if begin == NOWHERE:
                return
            shown = int(numbers[begin])
            before = begin + _SIDES + shown * _MOMENTS
            both = _read(numbers[before : before + _MOMENTS].tolist()).plus(more)
            self._write(begin + _SIDES + (1 - shown) * _MOMENTS, both)
            numbers[begin] = 1 - shown

    def add_unseen(self, model: str, number: int, name: str, *, digest: str, unseen: Sequence[tuple[int, int]]) -> None:
        """Add how many texts were held against the reference of this digest, and how many are not in it, by column."""
        for place, (texts, others) in enumerate(unseen):
            key = (_UNSEEN, model, str(number), name, str(place), mark_of(digest))
            at = self._counts.slot(*key, width=2)
            self._counts.numbers[at] += texts
            self._counts.numbers[at + 1] += others

    def refer(self, model: str, number: int, name: str, *, digest: str, moments: Sequence[Moments], now: float) -> None:
        """Write what the examples of this digest have for an input.

        Args:
            model: of the version.
            number: of the version.
            name: of the input.
            digest: in hexadecimal.
            moments: a column at a time; those of nothing where there are no examples.
            now: monotonic seconds; of several references the last one counts.
        """
        numbers = self._counts.numbers
        for place, each in enumerate(moments):
            at = self._counts.slot(_REFERENCE, model, str(number), name, str(place), width=_REFERENCE_WIDTH)
            numbers[at] = 0.0  # nobody reads it meanwhile
            numbers[at + 1] = float(int(mark_of(digest) or "0", 16))
            self._write(at + 2, each)
            numbers[at] = now

    def _write(self, begin: int, moments: Moments) -> None:
        values = (moments.requests, moments.count, moments.finite, moments.mean, moments.squares)
        for slot, value in enumerate((*values, moments.nan, moments.infinite), begin):
            self._counts.numbers[slot] = value


# --- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnFound:
    """What the workers of a host have found of one column."""

    live: Moments = field(default_factory=Moments)
    reference: Moments | None = None
    """None where no reference is known, or it has nothing for this input."""
    texts: int = 0
    """Texts that were held against this reference."""
    unseen: int = 0
    """Of them, those that are not in it."""
    ever_unseen: int = 0
    """Those, and those that were not in references before it."""

    @property
    def is_told(self) -> bool:
        """True if the mean is one of enough values to tell nobody what a single one was."""
        return self.live.finite >= FEWEST_REQUESTS

    @property
    def shift(self) -> float | None:
        """How far the mean is beside the reference's (``shift_of``); None if nothing may be told of it, or is known."""
        return shift_of(self.live, self.reference) if self.is_told and self.reference is not None else None

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


def gather(found: Found) -> dict[tuple[str, str], VersionFound]:
    """Return what has been found of each version, by model and number."""
    versions: dict[tuple[str, str], VersionFound] = {}
    unseen: dict[Key, dict[str, tuple[int, int]]] = {}
    for key, rows in found.items():
        if key[0] == _UNSEEN:
            texts, others = (round(sum(column)) for column in zip(*rows, strict=True))
            unseen.setdefault(key[1:5], {})[key[5]] = texts, others
        elif key[0] == _VERSION:
            version = versions.setdefault((key[1], key[2]), VersionFound())
            version.looked_at = round(sum(row[0] for row in rows))
            version.skipped = round(sum(row[1] for row in rows))
            version.since = min((row[2] for row in rows if row[2]), default=None)
    for column in {key[1:] for key in found if key[0] in (_COLUMN, _REFERENCE)}:
        model, number, name, place = column
        version = versions.setdefault((model, number), VersionFound())
        version.columns[name, int(place)] = _column_of(
            found.get((_COLUMN, *column), ()), found.get((_REFERENCE, *column), ()), unseen.get(column, {})
        )
    return versions


def _column_of(
    rows: Iterable[Sequence[float]], references: Iterable[Sequence[float]], marks: Mapping[str, tuple[int, int]]
) -> ColumnFound:
    live = Moments()
    for row in rows:
        begin = _SIDES + int(row[0]) * _MOMENTS
        live = live.plus(_read(row[begin : begin + _MOMENTS]))
    newest = max((row for row in references if row[0]), default=None, key=lambda row: row[0])
    reference = None if newest is None else _read(newest[2:])
    mark = "" if newest is None else f"{int(newest[1]):0{_MARK_DIGITS}x}"
    texts, others = marks.get(mark, (0, 0))
    return ColumnFound(
        live=live,
        reference=reference if reference is not None and reference.count else None,
        texts=texts,
        unseen=others,
        ever_unseen=sum(each for _, each in marks.values()),
    )


def _read(row: Sequence[float]) -> Moments:
    requests, count, finite, mean, squares, nan, infinite = row
    return Moments(
        requests=round(requests),
        count=round(count),
        finite=round(finite),
        mean=mean,
        squares=squares,
        nan=round(nan),
        infinite=round(infinite),
    )
