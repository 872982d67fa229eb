"""What becomes of attempts at what a token does not allow.

1. Each is a line of the log, written at once.
2. For the audit log, which nobody can shorten, a token has one event a minute and worker; the event that comes next
   says how many attempts there were in between. So whoever has any token cannot fill the database.
3. The event is written later, by a thread of its own, and lost where the registry does not answer: no refusal waits.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor

import structlog

from gateway.web.exchange import Exchange
from registry.roles import Caller, Role
from registry.tokens import Denial

_PAUSE_SECONDS = 60.0
_MAX_TOKENS = 1_000
_MAX_OUTSTANDING = 100


class Denials:
    """Keeps note of denied attempts; belongs to one event loop.

    Args:
        record: writes an event (``registry.tokens.Tokens.record_denial``); blocks.
        executor: where it is called: one thread.
        clock: monotonic seconds.
    """

    def __init__(
        self, record: Callable[[Denial], object], executor: Executor, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._record = record
        self._executor = executor
        self._clock = clock
        self._recent: OrderedDict[str | None, tuple[float, int]] = OrderedDict()
        """By token: when it had its last event, and the attempts since then; the oldest event first."""
        self._outstanding_count = 0

    def note(self, exchange: Exchange, caller: Caller, needed: Role) -> None:
        """Keep note of an attempt by somebody who may not do what they asked for."""
        structlog.get_logger().warning(
            "denied",
            request_id=exchange.request_id,
            actor=caller.name,
            token=caller.token,
            has=caller.role.value,
            needs=needed.value,
            method=exchange.method,
            path=exchange.shown_path,
        )
        now = self._clock()
        recorded_at, more = self._recent.get(caller.token, (-_PAUSE_SECONDS, 0))
        if now < recorded_at + _PAUSE_SECONDS or self._outstanding_count >= _MAX_OUTSTANDING:
            self._recent[caller.token] = recorded_at, more + 1
            return
        self._recent[caller.token] = now, 0
        self._recent.move_to_end(caller.token)
        if len(self._recent) > _MAX_TOKENS:
            self._recent.popitem(last=False)
        self._submit(
            Denial(caller=caller, needed=needed, method=exchange.method, path=exchange.shown_path, more_count=more)
        )

    def _submit(self, denial: Denial) -> None:
        with contextlib.suppress(RuntimeError):  # the worker is ending
            writing = asyncio.get_running_loop().run_in_executor(self._executor, self._record, denial)
            self._outstanding_count += 1
            writing.add_done_callback(self._done)

    def _done(self, writing: "asyncio.Future[object]") -> None:
        self._outstanding_count -= 1
        error = None if writing.cancelled() else writing.exception()
        if error is not None:
            structlog.get_logger().warning("denial_not_recorded", reason=type(error).__name__)
