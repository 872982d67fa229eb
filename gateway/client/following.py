"""Wait until the gateways follow a move: only then is everybody answered by what it moved to."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.client.errors import Busy, ConnectionFailed, MoveNotFollowed

_PAUSE_SECONDS = 0.1


def wait_until_followed(
    workers: Callable[[], Sequence[Mapping[str, Any]]],
    sequence: int,
    *,
    timeout_seconds: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Ask until every live worker has applied an event; return how many there are.

    A gateway that goes away meanwhile, or is busy, is asked again: it may be one that restarts.

    Raises:
        MoveNotFollowed: the time is over; it names the workers that lag, and what they say of it.
    """
    until = clock() + timeout_seconds
    lagging: Sequence[Mapping[str, Any]] = ()
    while True:
        trouble = ""
        try:
            live = workers()
        except (Busy, ConnectionFailed) as error:
            trouble = str(error)
        else:
            lagging = [worker for worker in live if not _has_applied(worker, sequence)]
            if not lagging:
                return len(live)
        if clock() >= until:
            raise MoveNotFollowed([_spell(worker, sequence) for worker in lagging], trouble=trouble)
        pause(_PAUSE_SECONDS)


def _has_applied(worker: Mapping[str, Any], sequence: int) -> bool:
    """Return whether a worker has applied an event, even if not all before it."""
    is_beyond = worker.get("read", 0) >= sequence and sequence not in worker.get("pending", ())
    return bool(worker["applied"] >= sequence or is_beyond)


def _spell(worker: Mapping[str, Any], sequence: int) -> str:
    troubles = [str(each["code"]) for each in worker.get("failed", ()) if each["sequence"] == sequence]
    return f"{worker['host']}:{worker['pid']}" + (f" ({troubles[0]})" if troubles else "")
