"""What requests bring to each version, as the workers of a host add it up on their boards.

1. A version has a key of what was looked at. Each column of its inputs has one of its moments, one of its reference,
   and one of its unseen texts for each reference that it has had.
2. Numbers come to a board ``FEWEST_REQUESTS`` at a time, or more: whoever looks twice sees either the same or the mean
   of so many more, and never what a single request has brought. Of a column that fewer have brought, nothing is known.
3. A column has the moments of all the time, and beside them those of this hour and of the hour before: what comes now
   would not be seen in a mean of months.
4. They are written to the side of a key that is not shown, which is then: who reads sees them whole, whenever it is.
5. At most ``MOST_COLUMNS_OF_ALL`` of a worker have keys, first come first: of a version that comes later nothing is
   known. What has been counted stays until the gateway ends: no sum may fall.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from gateway.shared_counts import NOWHERE, Counts, Key
from registry.input_statistics import Moments

FEWEST_REQUESTS: Final = 20

MOST_COLUMNS_OF_ALL: Final = 2048
"""Each scrape reads them all, of every worker."""

HOUR_SECONDS: Final = 3600.0

VERSION, COLUMN, REFERENCE, UNSEEN = "inputs", "inputs-column", "inputs-reference", "inputs-unseen"
_KINDS: Final = frozenset({VERSION, COLUMN, REFERENCE, UNSEEN})

_MOMENTS: Final = 7
"""How many numbers moments are."""
_SIDES: Final = 1
"""Where the sides of a column begin, behind the number of the one that is shown."""
_SUMS: Final = 3 * _MOMENTS + 1
"""How many numbers a side is."""
_COLUMN_WIDTH: Final = _SIDES + 2 * _SUMS
_VERSION_WIDTH: Final = 3
_REFERENCE_WIDTH: Final = 2 + _MOMENTS
_MARK_DIGITS: Final = 12
"""Of a digest, so many say which reference is meant: a float has room for them."""

Found: TypeAlias = Mapping[Key, Sequence[Sequence[float]]]
"""What every board has of each key."""


def is_about_inputs(key: Key) -> bool:
    """Return whether a key of a board is one of those here."""
    return key[0] in _KINDS


def numbers_of(moments: Moments) -> list[float]:
    """Return moments as numbers in slots."""
    values = (moments.requests, moments.count, moments.finite, moments.mean, moments.squares)
    return [*values, moments.nan, moments.infinite]


def read_moments(row: Sequence[float]) -> Moments:
    """Return the moments that ``numbers_of`` gives the numbers of."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSums:
    """What one worker has seen of one column."""

    whole: Moments = field(default_factory=Moments)
    hour: int = 0
    """The number of the hour in which something came last, by the host's monotonic clock."""
    latest: Moments = field(default_factory=Moments)
    """Of that hour."""
    before: Moments = field(default_factory=Moments)
    """Of the hour before that."""

    def plus(self, more: Moments, hour: int) -> "ColumnSums":
        """Return these and what has come in an hour that is not earlier."""
        latest, before = self.recent(hour)
        return ColumnSums(whole=self.whole.plus(more), hour=hour, latest=latest.plus(more), before=before)

    def recent(self, hour: int) -> tuple[Moments, Moments]:
        """Return what has come in an hour, and in the one before it."""
        if hour == self.hour:
            return self.latest, self.before
        return Moments(), self.latest if hour == self.hour + 1 else Moments()

    @classmethod
    def read(cls, row: Sequence[float]) -> "ColumnSums":
        """Return what the shown side of a column's key says."""
        begin = _SIDES + int(row[0]) * _SUMS
        whole, latest, before = (begin + place for place in (0, _MOMENTS + 1, 2 * _MOMENTS + 1))
        return cls(
            whole=read_moments(row[whole : whole + _MOMENTS]),
            hour=round(row[whole + _MOMENTS]),
            latest=read_moments(row[latest : latest + _MOMENTS]),
            before=read_moments(row[before : before + _MOMENTS]),
        )

    def numbers(self) -> list[float]:
        """Return them as a side of the key has them."""
        return [*numbers_of(self.whole), self.hour, *numbers_of(self.latest), *numbers_of(self.before)]


def hour_of(now: float) -> int:
    """Return the number of the hour that a moment of the monotonic clock is in."""
    return int(now // HOUR_SECONDS)


def mark_of(digest: str) -> str:
    """Return what is kept of a digest."""
    return digest[:_MARK_DIGITS]


def mark_in(number: float) -> str:
    """Return the mark that stands in a slot."""
    return f"{int(number):0{_MARK_DIGITS}x}"


# --- writing ----------------------------------------------------------------------------------------------------------


class InputBoard:
    """A worker's own board; used by one thread at a time, but for ``take_room``.

    Args:
        counts: the board.
        most: columns of all versions.
    """

    def __init__(self, counts: Counts, most: int = MOST_COLUMNS_OF_ALL) -> None:
        self._counts = counts
        self._left = most - counts.count(COLUMN)

    def take_room(self, model: str, number: int, columns: int) -> bool:
        """Return whether a version with so many columns may be written about; to be asked once, before it is."""
        if self._counts.has(VERSION, model, str(number)):
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
        at, numbers = self._counts.slot(VERSION, model, str(number), width=_VERSION_WIDTH), self._counts.numbers
        numbers[at] += looked_at
        numbers[at + 1] += skipped
        numbers[at + 2] = numbers[at + 2] or now

    def add(self, model: str, number: int, name: str, moments: Sequence[Moments], *, now: float) -> None:
        """Add what at least ``FEWEST_REQUESTS`` requests have brought for an input, a column at a time.

        Args:
            model: of the version.
            number: of the version.
            name: of the input.
            moments: of each column.
            now: monotonic seconds.
        """
        numbers = self._counts.numbers
        for place, more in enumerate(moments):
            begin = self._counts.slot(COLUMN, model, str(number), name, str(place), width=_COLUMN_WIDTH)
            if begin == NOWHERE:
                return
            sums = ColumnSums.read(numbers[begin : begin + _COLUMN_WIDTH].tolist())
            hidden = 1 - int(numbers[begin])
            self._write(begin + _SIDES + hidden * _SUMS, sums.plus(more, hour_of(now)).numbers())
            numbers[begin] = hidden

    def add_unseen(self, model: str, number: int, name: str, *, digest: str, unseen: Sequence[tuple[int, int]]) -> None:
        """Add how many texts were held against the reference of this digest, and how many are not in it, by column."""
        for place, (texts, others) in enumerate(unseen):
            key = (UNSEEN, model, str(number), name, str(place), mark_of(digest))
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
            at = self._counts.slot(REFERENCE, model, str(number), name, str(place), width=_REFERENCE_WIDTH)
            numbers[at] = 0.0  # nobody reads it meanwhile
            numbers[at + 1] = float(int(mark_of(digest) or "0", 16))
            self._write(at + 2, numbers_of(each))
            numbers[at] = now

    def _write(self, begin: int, values: Sequence[float]) -> None:
        for slot, value in enumerate(values, begin):
            self._counts.numbers[slot] = value
