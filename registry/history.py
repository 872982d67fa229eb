"""What the moves of one alias, oldest first, say about its past and about the way back.

Rules:
    1. The order of moves is that of their ids. Clocks only say where in that order a moment lies.
    2. A promotion stands until a rollback takes it back. A rollback that names the promotion it undoes takes back that
       one and all that stand after it; one that names none went to a version that no standing promotion came from, and
       stands itself, like a promotion.
    3. One step back goes to where the newest standing promotion came from; what is not available is stepped over.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from registry.records import Move


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBack:
    """Where a rollback leads."""

    version: int
    undoes: int | None
    """The oldest standing promotion that it takes back; None if it is one of its own."""


def standing_promotions(moves: Sequence[Move]) -> list[Move]:
    """Return what has not been rolled back, oldest first."""
    standing: list[Move] = []
    for move in moves:
        if move.undoes is None:
            standing.append(move)
            continue
        while standing and standing.pop().id != move.undoes:
            pass
    return standing


def step_back(moves: Sequence[Move], *, is_available: Callable[[int], bool]) -> StepBack | None:
    """Return the nearest available step back, None if there is none."""
    for move in reversed(standing_promotions(moves)):
        if move.from_version is not None and is_available(move.from_version):
            return StepBack(version=move.from_version, undoes=move.id)
    return None


def step_back_to(moves: Sequence[Move], version: int) -> StepBack | None:
    """Return the shortest way back to ``version``, None if it has never been live."""
    if all(move.to_version != version for move in moves):
        return None
    came_from = (move.id for move in reversed(standing_promotions(moves)) if move.from_version == version)
    return StepBack(version=version, undoes=next(came_from, None))


def last_move_at(moves: Sequence[Move], at: datetime) -> Move | None:
    """Return the last move that is not later than ``at`` (aware), None if all are."""
    return next((move for move in reversed(moves) if move.at <= at), None)
