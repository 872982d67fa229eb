"""What becomes of attempts at what a token does not allow.

1. Each is a line of the log, written at once.
2. For the audit log, which nobody can shorten, a token has ten events at once and one more a minute, in each worker;
   the event that comes next says how many attempts there were in between that have none. So whoever has any token
   cannot fill the database.
3. The event is written later, by a thread of its own, and lost where the registry does not answer: no refusal waits.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial

import structlog

from gateway.web.exchange import Exchange
from registry.roles import Caller, Role
from registry.tokens import Denial

_BURST = 10.0
_PER_SECOND = 1 / 60
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
        self._tokens: OrderedDict[str | None, _Allowance] = OrderedDict()
        """Those that were denied longest ago first."""
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
        allowance = self._allowance(caller.token)
        if self._outstanding_count >= _MAX_OUTSTANDING or not allowance.take(self._clock()):
            allowance.more_count += 1
            return
        path, more, allowance.more_count = exchange.shown_path, allowance.more_count, 0
        self._submit(
            Denial(caller=caller, needed=needed, method=exchange.method, path=path, more_count=more), allowance
        )

    def _allowance(self, token: str | None) -> "_Allowance":
        allowance = self._tokens.get(token)
        if allowance is None:
            allowance = self._tokens[token] = _Allowance(self._clock())
            if len(self._tokens) > _MAX_TOKENS:
                self._tokens.popitem(last=False)
        self._tokens.move_to_end(token)
        return allowance

    def _submit(self, denial: Denial, allowance: "_Allowance") -> None:
        with contextlib.suppress(RuntimeError):  # the worker is ending
            writing = asyncio.get_running_loop().run_in_executor(self._executor, self._record, denial)
            self._outstanding_count += 1
            writing.add_done_callback(partial(self._done, denial, allowance))

    def _done(self, denial: Denial, allowance: "_Allowance", writing: "asyncio.Future[object]") -> None:
        self._outstanding_count -= 1
        error = None if writing.cancelled() else writing.exception()
        if error is not None:
            allowance.more_count += 1 + denial.more_count
            structlog.get_logger().warning("denial_not_recorded", reason=type(error).__name__)


class _Allowance:
    """How many events a token may still have, and the attempts that have none."""

    __slots__ = ("_at", "_left", "more_count")

    def __init__(self, now: float) -> None:
        self._left = _BURST
        self._at = now
        self.more_count = 0

    def take(self, now: float) -> bool:
        """Use up one event, and return whether there was one."""
        self._left = min(_BURST, self._left + (now - self._at) * _PER_SECOND)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
