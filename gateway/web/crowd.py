"""How many connections a worker has, and who makes room for the next one.

1. There are at most so many. Whoever comes then is taken if somebody makes room: connections on which the gateway waits
   for a request, or for the rest of its head. One that is being answered, or that brings a body, stays.
2. Those of the address that has most of them go first, and of these the ones that have waited longest: whoever opens
   thousands closes his own. A few go at a time, so that not every newcomer has to look through all.
3. If nobody can go, newcomers stay in the kernel's queue, and it is tried again after a moment.
"""

import resource
from collections import defaultdict
from collections.abc import Callable, Collection
from typing import Any, Final, Protocol

import structlog

_AT_A_TIME: Final = 64
"""One in so many of all connections goes at a time, and at least one."""

_OTHER_FILES: Final = 256
"""How many descriptors are left to models, databases and pipes."""

_FEWEST: Final = 16


class Connected(Protocol):
    """A connection, as far as it matters here."""

    client: tuple[str, int] | None
    transport: Any

    @property
    def waits_since(self) -> float | None:
        """Since when it has had nothing to do; None while a request is at work."""
        ...


class Crowd:
    """The connections of one worker; belongs to its event loop.

    Args:
        connections: all that there are, those that are just being closed among them.
        most: how many there may be.
    """

    def __init__(self, connections: Callable[[], Collection[Connected]], most: int) -> None:
        self._connections = connections
        self._most = most

    def make_room(self, opening_count: int) -> bool:
        """Return whether one more connection may be taken; close some, if there are too many.

        Args:
            opening_count: how many have been taken that are not among the connections yet.
        """
        connections = self._connections()
        if len(connections) + opening_count < self._most:
            return True
        open_ones = [one for one in connections if not one.transport.is_closing()]
        if len(open_ones) + opening_count < self._most:
            return True
        if opening_count:
            return False  # they may be the ones to go: that is seen when they are there
        leaving = _idlest_of_the_greediest(open_ones, max(1, self._most // _AT_A_TIME))
        for one in leaving:
            one.transport.close()
        if leaving:
            address = "" if leaving[0].client is None else leaving[0].client[0]
            structlog.get_logger().warning("connections_closed_for_others", count=len(leaving), address=address)
        return bool(leaving)


def _idlest_of_the_greediest(connections: Collection[Connected], count: int) -> list[Connected]:
    waiting: dict[str, list[tuple[float, Connected]]] = defaultdict(list)
    for one in connections:
        since = one.waits_since
        if since is not None:
            waiting["" if one.client is None else one.client[0]].append((since, one))
    if not waiting:
        return []
    greediest = max(waiting.values(), key=len)
    greediest.sort(key=lambda pair: pair[0])
    return [one for _, one in greediest[:count]]


def most_connections(wanted: int) -> int:
    """Return how many connections this process may have, having raised its limit of open files as far as is needed.

    Args:
        wanted: how many there should be.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return max(_FEWEST, min(wanted, soft - _OTHER_FILES))
    return wanted
