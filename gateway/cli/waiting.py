"""Wait until every live worker follows a move.

1. A worker follows when it has applied the move's event; it says so itself. What else it has not applied yet does not
   matter.
2. One that says that it cannot, because of the model, ends the waiting: it goes on answering as before, and only
   somebody who acts changes that. Trouble that ends by itself (the store is away) is waited for.
3. So is a gateway that does not say: the move is made, and one that restarts comes back.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.cli.exits import CommandFailed, ExitCode
from gateway.client.errors import Busy, ConnectionFailed

_PAUSE_SECONDS = 0.1

_PASSING = frozenset(
    {"storage_unavailable", "insufficient_storage", "registry_unavailable", "registry_busy", "overloaded"}
)

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
        fetch_workers: gives the live workers, each with ``host``, ``pid``, ``applied``, ``failed``, ``read`` and
            ``pending``.
        sequence: of the event that they are to apply.
        timeout_seconds: how long; they are asked at least once.
        clock: seconds that only grow.
        pause: waits that many seconds.

    Raises:
        CommandFailed: failed, if a worker cannot follow; try again later, if the time is over. The message names the
            workers.
    """
    deadline = clock() + timeout_seconds
    lagging: Sequence[Worker] = ()
    while True:
        trouble = ""
        try:
            workers = fetch_workers()
        except (Busy, ConnectionFailed) as error:
            trouble = str(error)
        else:
            lagging = [worker for worker in workers if _lags(worker, sequence)]
            if not lagging:
                return len(workers)
            _refuse_failed(lagging, sequence)
        if clock() >= deadline:
            seen = ", ".join(_spell(worker, sequence) for worker in lagging)
            raise CommandFailed(
                ExitCode.TRY_AGAIN,
                code="workers_lag",
                title="The move is made, but not every worker follows yet",
                detail="; ".join(part for part in (seen, trouble) if part),
            )
        pause(_PAUSE_SECONDS)


def _refuse_failed(lagging: Sequence[Worker], sequence: int) -> None:
    failed = [worker for worker in lagging if _trouble(worker, sequence) not in (None, *_PASSING)]
    if failed:
        raise CommandFailed(
            ExitCode.FAILED,
            code="workers_failed",
            title="The move is made, but a worker cannot follow and goes on as before",
            detail=", ".join(_spell(worker, sequence) for worker in failed),
        )


def _lags(worker: Worker, sequence: int) -> bool:
    return bool(worker["applied"] < sequence) and not _is_beyond(worker, sequence)


def _is_beyond(worker: Worker, sequence: int) -> bool:
    """Return whether a worker has applied the event, though not all before it."""
    return bool(worker.get("read", 0) >= sequence) and sequence not in worker.get("pending", ())


def _trouble(worker: Worker, sequence: int) -> str | None:
    """Return the code of what keeps a worker from applying the event; None if it says nothing."""
    codes = (str(switch["code"]) for switch in worker.get("failed", ()) if switch["sequence"] == sequence)
    return next(codes, None)


def _spell(worker: Worker, sequence: int) -> str:
    trouble = _trouble(worker, sequence)
    return f"{worker['host']}:{worker['pid']}" + (f" ({trouble})" if trouble else "")
