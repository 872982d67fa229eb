"""Wait until every live worker follows a move."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.cli.exits import CommandFailed, ExitCode

_PAUSE_SECONDS = 0.1

Worker = Mapping[str, Any]


def wait_until_applied(
    fetch_workers: Callable[[], Sequence[Worker]],
    *,
    sequence: int,
    timeout_seconds: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Ask who has applied what until nobody lags behind ``sequence``; return how many workers there are.

    Args:
        fetch_workers: gives the live workers, each with ``host``, ``pid`` and ``applied``.
        sequence: of the event that they are to apply.
        timeout_seconds: how long; they are asked at least once.
        clock: seconds that only grow.
        pause: waits that many seconds.

    Raises:
        CommandFailed: try again later: the time is over; the message names the workers that lag.
    """
    deadline = clock() + timeout_seconds
    while True:
        workers = fetch_workers()
        lagging = [worker for worker in workers if worker["applied"] < sequence]
        if not lagging:
            return len(workers)
        if clock() >= deadline:
            raise CommandFailed(
                ExitCode.TRY_AGAIN,
                code="workers_lag",
                title="The move is made, but not every worker follows yet",
                detail=", ".join(f"{worker['host']}:{worker['pid']}" for worker in lagging),
            )
        pause(_PAUSE_SECONDS)
