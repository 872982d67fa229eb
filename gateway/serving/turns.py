"""Requests whose runs are not made on the event loop: they wait for a place, run in the executor, and are answered.

1. Whoever finds a place free runs at once; the others wait for their turn (``run_queue``), each under a lease of its
   session. Somebody's run may take them along (``shared_run``): then their own lease ends.
2. Lease and place of a run end when it has really ended, whether or not anyone still waits for it.
3. A caller is answered at its deadline at the latest, wherever its request is by then.

All of it is callbacks: what a task and its futures cost is what a small model's run takes. Belongs to one event loop.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial

from gateway.serving.isolated import AnySession
from gateway.serving.run_queue import Place, RunQueue
from gateway.serving.runtime import DisplacedError, Session
from gateway.serving.session_cache import Lease
from gateway.serving.shared_run import Companies, Outcome, Request, SharedRun
from registry.errors import Overloaded


class Turns:
    """Who waits, and who runs.

    Args:
        queue: gives places out.
        executor: where runs are made.
        execute: makes a run, and returns what each of its requests gets; called in ``executor``.
        ended: told of a run before its requests are answered.
        displaced: told of each request that has not been run, since its version is run elsewhere by now.
        clock: monotonic seconds; deadlines are moments of it.
    """

    def __init__(
        self,
        queue: RunQueue,
        executor: Executor,
        *,
        execute: Callable[[SharedRun, Session], list[Outcome]],
        ended: Callable[[SharedRun, list[Outcome]], None],
        displaced: Callable[[Request], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._executor = executor
        self._execute = execute
        self._ended = ended
        self._displaced = displaced
        self._clock = clock
        self._companies = Companies()

    def begin(self, request: Request, lease: Lease[AnySession]) -> None:
        """Have a request run when its turn comes. ``request.answer`` is resolved then; the lease ends by itself.

        Raises:
            Overloaded: too many wait for this version.
        """
        place = self._queue.take(request.course.key)
        if place is not None:
            self._run(request, lease, place)
        else:
            try:
                self._queue.line_up(request.course.key, request.turn)
            except Overloaded:
                lease.release()
                raise
            self._companies.join(request)
            request.turn.add_done_callback(partial(self._turn_came, request, lease))
        seconds = max(0.0, request.deadline - self._clock())
        request.timer = asyncio.get_running_loop().call_later(seconds, request.expire)

    def _turn_came(self, request: Request, lease: Lease[AnySession], turn: "asyncio.Future[Place | None]") -> None:
        self._companies.leave(request)
        place = None if turn.cancelled() else turn.result()
        if place is None:  # given up, or taken along
            lease.release()
        elif not request.is_wanted:
            lease.release()
            place.leave()
        else:
            self._run(request, lease, place)

    def _run(self, request: Request, lease: Lease[AnySession], place: Place) -> None:
        run = SharedRun(self._companies.gather(request))
        loop = asyncio.get_running_loop()
        try:
            self._executor.submit(self._work, loop, run, lease, place)
        except RuntimeError:
            self._settle(run, lease, place, Overloaded("the gateway is shutting down", retry_after_seconds=1))

    def _work(self, loop: asyncio.AbstractEventLoop, run: SharedRun, lease: Lease[AnySession], place: Place) -> None:
        outcomes: list[Outcome] | Exception
        try:
            session = lease.session
            outcomes = [DisplacedError()] * len(run.requests) if session.is_elsewhere else self._execute(run, session)
        except Exception as error:  # noqa: BLE001 - a bug of ours: its callers must hear of it, too
            outcomes = error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self._settle, run, lease, place, outcomes)
        del outcomes  # an error among them knows this frame, and what hangs on it

    def _settle(
        self, run: SharedRun, lease: Lease[AnySession], place: Place, outcomes: "list[Outcome] | Exception"
    ) -> None:
        lease.release()
        place.leave()
        if isinstance(outcomes, Exception):
            for request in run.requests:
                request.settle(outcomes)
            return
        self._ended(run, outcomes)
        for request, outcome in zip(run.requests, outcomes, strict=True):
            if isinstance(outcome, DisplacedError):
                self._displaced(request)
            else:
                request.settle(outcome)
