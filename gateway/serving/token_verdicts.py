"""What this worker knows of access tokens, so that one that is known costs a look into a table.

1. Verdicts are kept under the SHA-256 of what was presented; neither a token nor its secret is kept.
2. Those of tokens that were used within a day are read again when the feed tells of a token, and every two seconds
   besides: while the registry answers, no revocation stays unknown for longer.
3. If the registry does not answer, a verdict holds for an hour from its last reading. A token that has never been seen
   is answered with the registry's silence, and let in never.
4. A token that turned out to be nobody's is remembered for some seconds, so that a flood of it asks the registry once.
   Every table is bounded: what was learned first goes first.
5. Use is noted on the way and written once a minute. So a worker knows from its first seconds which tokens to expect,
   though not yet whether who presents them may come in: they are never taken for guesses.

Belongs to one event loop; the registry is visited in the executor.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from copy import copy
from datetime import timedelta
from hashlib import sha256
from typing import TypeVar

import structlog

from registry.credentials import Credential
from registry.errors import Overloaded, ServiceError, Unauthenticated
from registry.events import Event
from registry.ports import Clock, Registry
from registry.records import Token
from registry.roles import Caller

V = TypeVar("V")

REFUSAL = "send an access token that is good: Authorization: Bearer sardonyx_..."
"""The one message, whatever is wrong with a token: whoever guesses learns nothing from it."""

_HOLD_SECONDS = 3600.0
_IDLE_SECONDS = 24 * 3600.0
_UNKNOWN_SECONDS = 5.0
_NOTE_SECONDS = 60.0
_EXPECT_SECONDS = 60.0
_MAX_KNOWN = 4096
_MAX_UNKNOWN = 10_000
_MAX_VISITS = 64


class _Verdict:
    """A token that was good when it was last read."""

    __slots__ = ("caller", "holds_until", "token", "used_at")

    def __init__(self, token: Token, *, used_at: float, holds_until: float) -> None:
        self.token = token
        self.caller = token.as_caller()
        self.used_at = used_at
        self.holds_until = holds_until


class TokenVerdicts:
    """Who presents a token, and whether it is good.

    Args:
        registry: where the tokens are.
        executor: where the registry is visited.
        wall_clock: decides whether a token has ended.
        clock: monotonic seconds.
        refresh_seconds: how often all verdicts are read again.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        executor: Executor,
        wall_clock: Clock,
        clock: Callable[[], float] = time.monotonic,
        refresh_seconds: float = 2.0,
    ) -> None:
        self._registry = registry
        self._executor = executor
        self._wall_clock = wall_clock
        self._clock = clock
        self._refresh_seconds = refresh_seconds
        self._good: OrderedDict[bytes, _Verdict] = OrderedDict()
        self._revoked: OrderedDict[bytes, float] = OrderedDict()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._visits: dict[bytes, asyncio.Task[Caller | ServiceError]] = {}
        self._noted: dict[str, float] = {}
        self._expected: dict[str, Token] = {}
        self._expected_at = -math.inf
        self._has_looked_for_admin = False
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    # --- asking -------------------------------------------------------------------------------------------------------

    def find(self, presented: bytes, now: float) -> Caller | None:
        """Return who presents this if it is known to be good, else None; looks into one table.

        Args:
            presented: the bytes that came; the same ones lead to the same verdict.
            now: seconds of ``clock``.
        """
        verdict = self._good.get(sha256(presented).digest())
        if verdict is None or now >= verdict.holds_until:
            return None
        verdict.used_at = now
        return verdict.caller

    def expects(self, credential: Credential | None) -> bool:
        """Return whether this proves to be a token that somebody has used within a day; looks into one table."""
        token = None if credential is None else self._expected.get(credential.id)
        return token is not None and credential is not None and credential.proves(token.secret_sha256)

    async def judge(self, presented: bytes, credential: Credential | None) -> Caller:
        """Return who presents this, from the registry if need be.

        Args:
            presented: the bytes that came.
            credential: what they say; None if they say nothing that could be a token.

        Raises:
            Unauthenticated: it is no token, nobody's, at its end, or revoked.
            RegistryUnavailable, RegistryBusy: it is not known here, and the registry does not answer.
            Overloaded: too many others are being looked up.
        """
        key = sha256(presented).digest()
        now = self._clock()
        caller = self.find(presented, now)
        if caller is not None:
            return caller
        if credential is None or key in self._revoked or now < self._unknown.get(key, 0.0) or self._has_ended(key):
            raise Unauthenticated(REFUSAL)
        visit = self._visits.get(key) or self._start_visit(key, credential)
        found = await asyncio.shield(visit)  # others wait for the same visit: it survives this caller
        if isinstance(found, ServiceError):
            raise copy(found)
        return found

    def _has_ended(self, key: bytes) -> bool:
        verdict = self._good.get(key)
        return verdict is not None and not verdict.token.is_good(self._wall_clock.now())

    # --- visiting the registry ----------------------------------------------------------------------------------------

    def _start_visit(self, key: bytes, credential: Credential) -> asyncio.Task[Caller | ServiceError]:
        if len(self._visits) >= _MAX_VISITS and not self.expects(credential):
            raise Overloaded("too many access tokens are being looked up", retry_after_seconds=1)
        self._visits[key] = task = asyncio.get_running_loop().create_task(self._visit(key, credential))
        return task

    async def _visit(self, key: bytes, credential: Credential) -> Caller | ServiceError:
        began = self._clock()
        try:
            found = await self._read([credential.id])
        except ServiceError as error:
            return error
        finally:
            del self._visits[key]
        token = found.get(credential.id)
        if token is not None and credential.proves(token.secret_sha256):
            if token.is_good(self._wall_clock.now()) and key not in self._revoked:
                verdict = _Verdict(token, used_at=began, holds_until=self._end_of(token, began))
                _put(self._good, key, verdict, limit=_MAX_KNOWN)
                return verdict.caller
            if token.revoked_at is not None or key in self._revoked:
                _put(self._revoked, key, began, limit=_MAX_KNOWN)
                return Unauthenticated(REFUSAL)
        _put(self._unknown, key, began + _UNKNOWN_SECONDS, limit=_MAX_UNKNOWN)
        return Unauthenticated(REFUSAL)

    def _end_of(self, token: Token, read_at: float) -> float:
        if token.expires_at is None:
            return read_at + _HOLD_SECONDS
        left = (token.expires_at - self._wall_clock.now()).total_seconds()
        return min(read_at + _HOLD_SECONDS, self._clock() + left)

    async def _read(self, ids: list[str]) -> dict[str, Token]:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._find_tokens, ids)

    def _find_tokens(self, ids: list[str]) -> dict[str, Token]:
        with self._registry.reading() as catalog:
            return {token.id: token for token in catalog.find_tokens(ids)}

    # --- keeping up ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to keep up with the registry."""
        # A writer waits for other writers, and what is believed must not wait with it.
        loop = asyncio.get_running_loop()
        self._tasks = tuple(loop.create_task(self._repeat(step)) for step in (self._keep_up, self.note_use))

    async def close(self) -> None:
        """Stop keeping up; visits under way are given up."""
        tasks = (*self._visits.values(), *self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def apply(self, _event: Event) -> None:
        """Make an event about a token true for this worker.

        Raises:
            RegistryUnavailable, RegistryBusy: the registry does not answer; apply it again.
        """
        self._unknown.clear()
        self._expected_at = -math.inf
        await self.refresh()

    async def refresh(self) -> None:
        """Read every verdict again.

        Raises:
            RegistryUnavailable, RegistryBusy: the registry does not answer; what is known stays.
        """
        began = self._clock()
        for key in [key for key, verdict in self._good.items() if verdict.used_at + _IDLE_SECONDS < began]:
            del self._good[key]
        if not self._good:
            return
        asked = {verdict.token.id for verdict in self._good.values()}
        found = await self._read(sorted(asked))
        for key, verdict in list(self._good.items()):
            if verdict.token.id not in asked:
                continue  # it came while the others were read
            token = found.get(verdict.token.id)
            if token is None or token.secret_sha256 != verdict.token.secret_sha256:
                del self._good[key]
            elif token.revoked_at is not None:
                del self._good[key]
                _put(self._revoked, key, began, limit=_MAX_KNOWN)
            else:
                verdict.token = token
                verdict.holds_until = self._end_of(token, began)

    async def note_use(self) -> None:
        """Write when tokens were last used, those for which this has not been done for a minute.

        Raises:
            RegistryUnavailable, RegistryBusy: the registry does not answer; they are written another time.
        """
        now = self._clock()
        last_used: dict[str, float] = {}
        for verdict in self._good.values():
            last_used[verdict.token.id] = max(verdict.used_at, last_used.get(verdict.token.id, -math.inf))
        self._noted = {id_: at for id_, at in self._noted.items() if id_ in last_used}
        due = [
            id_
            for id_, used_at in last_used.items()
            if used_at > (noted := self._noted.get(id_, -math.inf)) and now >= noted + _NOTE_SECONDS
        ]
        if due:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._write_use, due)
            self._noted |= dict.fromkeys(due, now)

    def _write_use(self, ids: list[str]) -> None:
        with self._registry.writing() as transaction:
            transaction.note_use(ids, at=self._wall_clock.now())

    async def _repeat(self, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await step()
            except ServiceError:
                pass  # it will be tried again; the feed tells that the registry does not answer
            except Exception as error:  # noqa: BLE001 - a worker that keeps up no more would go on believing
                structlog.get_logger().error("tokens_not_kept", exc_info=error)
            await asyncio.sleep(self._refresh_seconds)

    async def _keep_up(self) -> None:
        await self.refresh()
        await self.expect()
        await self._look_for_admin()

    async def expect(self) -> None:
        """Read which tokens are in use, unless that was done within a minute.

        Raises:
            RegistryUnavailable, RegistryBusy: the registry does not answer; those that were expected still are.
        """
        now = self._clock()
        if now >= self._expected_at + _EXPECT_SECONDS:
            self._expected = await asyncio.get_running_loop().run_in_executor(self._executor, self._find_used)
            self._expected_at = now

    def _find_used(self) -> dict[str, Token]:
        now = self._wall_clock.now()
        with self._registry.reading() as catalog:
            used = catalog.list_used_tokens(since=now - timedelta(seconds=_IDLE_SECONDS), at=now, limit=_MAX_KNOWN)
        return {token.id: token for token in used}

    async def _look_for_admin(self) -> None:
        """Say once how the first token is made, where nobody could make one over HTTP."""
        if self._has_looked_for_admin:
            return
        is_there = await asyncio.get_running_loop().run_in_executor(self._executor, self._has_admin)
        self._has_looked_for_admin = True
        if not is_there:
            hint = "make one on this machine: sardonyx token create NAME --role admin"
            structlog.get_logger().warning("no_admin_token", detail=hint)

    def _has_admin(self) -> bool:
        self._registry.check_schema()
        with self._registry.reading() as catalog:
            return catalog.has_admin_token(at=self._wall_clock.now())


def _put(table: OrderedDict[bytes, V], key: bytes, value: V, *, limit: int) -> None:
    table[key] = value
    table.move_to_end(key)
    if len(table) > limit:
        table.popitem(last=False)
