"""How the connections of a host are spread over its workers, though each stays where it was taken.

1. A worker's death leaves all connections with the others: whoever comes in its place would have nothing to do for as
   long as they last, a processor would idle, and the next death would hit everybody.
2. So each worker says how many connections it has in use, and looks twice a second at what its siblings say. One that
   has clearly more than the mean has those beyond it end with their next answer (``Connection: close``). The client
   opens another connection, which a sibling takes: this worker takes none for a moment (``Listener.rest``). No request
   is lost but what a client has sent ahead of that answer, which it has to send again.
3. What siblings say is up to half a second old, so nobody is told for what one look shows: who comes to all of them at
   once seems to have come to one alone. It has to be so at the next look as well.
4. In use is what has a request, or had one within ``USED_SECONDS``. The others bring no work, and are left alone.
5. Having told some, it waits for ``SETTLING_SECONDS``. Where the sibling that had fewest has no more then, as one that
   hangs takes no connection, nobody is told for ``PAUSE_SECONDS``, and each time that it is so again, for twice as
   long; one that has died meanwhile proves nothing. A worker that has not begun to take connections, or takes no more
   of them, counts for nothing.

Source: RFC 9112 section 9.6 for what ``close`` promises.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from math import inf, isnan, nan
from typing import Final, Protocol

from gateway.web.crowd import Connected

USED_SECONDS: Final = 5.0
SETTLING_SECONDS: Final = 2.0
PAUSE_SECONDS: Final = 30.0
_LONGEST_PAUSE_SECONDS: Final = 3600.0
_TOLERATED: Final = 1.25
"""Times the mean, and one more: who comes where is up to chance."""


class Passing(Connected, Protocol):
    """A connection that can be told to end."""

    is_passing: bool
    """True if it ends with its next answer."""

    def pass_on(self) -> None:
        """End with the next answer."""
        ...


class FairShare:
    """The connections of one worker, beside those of its siblings; belongs to its event loop.

    Args:
        connections: all that there are.
        shares: returns how many each worker of the host has in use, this one among them, as they have said last; by
            place, NaN where nobody says it.
        loop_time: the clock of ``waits_since``, in seconds.
    """

    def __init__(
        self,
        connections: Callable[[], Collection[Passing]],
        shares: Callable[[], Sequence[float]],
        loop_time: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections = connections
        self._shares = shares
        self._now = loop_time
        self._is_open = False
        self._had_too_many = False
        """At the last look."""
        self._least_before: tuple[int, float] | None = None
        """Where the sibling with fewest was when some were last told to go, and how many; None once that is judged."""
        self._not_before = -inf
        self._pause_seconds = PAUSE_SECONDS

    @property
    def in_use(self) -> float:
        """How many connections are in use and stay; NaN while none are taken."""
        return float(len(self._used())) if self._is_open else nan

    def begin(self) -> None:
        """Count from now on: connections are taken."""
        self._is_open = True

    def end(self) -> None:
        """Count for nothing from now on."""
        self._is_open = False

    def even_out(self) -> int:
        """Have some connections end with their next answer if siblings have fewer; return how many."""
        had_too_many, self._had_too_many = self._had_too_many, False
        now = self._now()
        if not self._is_open or now < self._not_before:
            return 0
        shares = {place: share for place, share in enumerate(self._shares()) if not isnan(share)}
        if len(shares) < 2 or self._has_failed(shares, now):  # noqa: PLR2004 - nobody beside this one
            return 0
        used = self._used()
        mean = sum(shares.values()) / len(shares)
        has_too_many = len(used) > _TOLERATED * mean + 1
        if not (had_too_many and has_too_many):
            self._had_too_many = has_too_many
            return 0
        leaving = used[: int(len(used) - mean)]
        for one in leaving:
            one.pass_on()
        place = min(shares, key=lambda each: shares[each])
        self._least_before, self._not_before = (place, shares[place]), now + SETTLING_SECONDS
        return len(leaving)

    def _has_failed(self, shares: Mapping[int, float], now: float) -> bool:
        """Return whether those who were told to go have not come to whom they were meant for."""
        before, self._least_before = self._least_before, None
        if before is None or before[0] not in shares:
            return False
        if shares[before[0]] <= before[1]:
            self._not_before = now + self._pause_seconds
            self._pause_seconds = min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)
            return True
        self._pause_seconds = PAUSE_SECONDS
        return False

    def _used(self) -> list[Passing]:
        since = self._now() - USED_SECONDS
        return [
            one
            for one in self._connections()
            if not one.is_passing
            and not one.transport.is_closing()
            and (one.waits_since is None or one.waits_since >= since)
        ]
