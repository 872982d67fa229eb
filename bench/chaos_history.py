"""Holding the history that the registry tells afterwards against the moves that were asked for.

1. A move that was acknowledged, or seen once, stands in the history once, as it was told. Those that were acknowledged
   stand there in the order of their requests: who asks for moves of an alias awaits each answer.
2. A move that nobody acknowledged may stand there or not.
3. Each move begins where the one above it led, and leads where it was meant to: to the version that was asked for, or
   one step back from what all moves above it come to.
"""

import collections
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One move, as the gateway tells of it when it acknowledges it and in the history."""

    id: int
    kind: str
    from_version: int | None
    to_version: int
    reason: str
    at: str

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Row":
        return cls(
            id=value["id"],
            kind=value["kind"],
            from_version=value["from"],
            to_version=value["to"],
            reason=value["reason"],
            at=value["at"],
        )


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One request for a move, as who made it saw it; all moments are of one monotonic clock."""

    reason: str
    """Its own, by which it is found again in the history."""
    kind: str
    target: int | None
    """The version asked for; None for one step back."""
    asked_at: float
    known_at: float = math.inf
    """When it was acknowledged, else when it was first seen in the history."""
    row: Row | None = None
    """As it was acknowledged, or first seen."""
    is_acknowledged: bool = False


class Path:
    """Where a model's alias points, and the way back: an account of our own of what the moves so far mean."""

    def __init__(self) -> None:
        self.live: int | None = None
        self._came_from: list[int | None] = []

    @property
    def way_back(self) -> int | None:
        """Where one step back leads; None if nowhere."""
        return self._came_from[-1] if self._came_from else None

    def goal(self, kind: str, target: int | None) -> int | None:
        """Return where such a move has to lead."""
        return self.way_back if kind == "rollback" and target is None else target

    def take(self, row: Row) -> None:
        """Go where a move went: a rollback takes back the moves after the nearest one that came from its goal."""
        if row.kind == "rollback" and row.to_version in self._came_from:
            while self._came_from.pop() != row.to_version:
                pass
        else:
            self._came_from.append(row.from_version)
        self.live = row.to_version


def history_faults(rows: Sequence[Row], attempts: Sequence[Attempt]) -> list[str]:
    """Return what the rules do not allow.

    Args:
        rows: the whole history of an alias, oldest first; its first row was there before all attempts.
        attempts: every request for a move of it, in their order.
    """
    return [*_chain_faults(rows), *_lost_moves(rows, attempts), *_goal_faults(rows, attempts)]


def _chain_faults(rows: Sequence[Row]) -> Iterator[str]:
    for before, after in itertools.pairwise(rows):
        if after.id <= before.id or after.from_version != before.to_version:
            yield f"{after} does not follow upon {before}"
    reasons = collections.Counter(row.reason for row in rows)
    for reason, count in reasons.items():
        if count > 1:
            yield f"{reason!r} is there {count} times"


def _lost_moves(rows: Sequence[Row], attempts: Sequence[Attempt]) -> Iterator[str]:
    places = {row.reason: place for place, row in enumerate(rows)}
    last = 0
    for attempt in attempts:
        if attempt.row is None:
            continue
        told = "acknowledged" if attempt.is_acknowledged else "seen"
        found = places.get(attempt.reason)
        if found is None:
            yield f"{attempt.row} was {told} and is lost"
        elif rows[found] != attempt.row:
            yield f"{attempt.row} was {told}, {rows[found]} is in the history"
        elif attempt.is_acknowledged and found < last:
            yield f"{attempt.row} was asked for after {rows[last]} was acknowledged, and stands above it"
        elif attempt.is_acknowledged:
            last = found


def _goal_faults(rows: Sequence[Row], attempts: Sequence[Attempt]) -> Iterator[str]:
    asked = {attempt.reason: attempt for attempt in attempts}
    path = Path()
    for place, row in enumerate(rows):
        attempt = asked.get(row.reason)
        if attempt is not None:
            goal = path.goal(attempt.kind, attempt.target)
            if (row.kind, row.to_version) != (attempt.kind, goal):
                yield f"{row} is not what was asked for: {attempt.kind} to {goal}"
        elif place > 0:
            yield f"nobody has asked for {row}"
        path.take(row)
