"""The consistent hash of HAProxy 2.6, bit for bit: who owns a key, and who has it when the owner is busy.

1. The proxy says ``balance hash`` on the key, and ``hash-type consistent crc32 avalanche``. Of a million keys such as
   ``m0000001:1`` neither ``crc32`` nor ``sdbm`` gives two the same hash, ``wt6`` does so to 9,000; plain ``djb2`` lays
   up to 11 % more on a server than its share. Of the two good ones ``crc32`` is the one that every language has. With
   the avalanche it spreads few keys as well as many: alone it lays names that differ in one digit side by side.
2. A server stands on the ring at 16 places for each unit of its weight; they follow from its id, which the
   configuration states. So neither the order of servers nor their addresses move anything.
3. A key belongs to the place that is nearest, before or behind it. A server that is down has no places.
4. With ``hash-balance-factor`` nobody has more than that percentage of the mean of requests under way, his own new one
   counted. Who is full is passed over, from place to place in one direction.
5. HAProxy reckons rule 4 in 32 bits, and so does this: where the product of 16 times the sum of weights and of the
   requests under way goes beyond that, one of all servers, another one each time, counts as never full.

Source: HAProxy 2.6, src/lb_chash.c and hash.c; V. Mirrokni, M. Thorup, M. Zadimoghaddam, Consistent Hashing with
Bounded Loads, arXiv:1608.01350. ``tests/e2e/test_placement_by_haproxy.py`` asks a real one.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, islice
from typing import Any, Final, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

HASH_TYPE: Final = "consistent crc32 avalanche"
"""What the proxy's configuration has to say for this ring to be true."""

WEIGHT: Final = 64
"""What each of equal servers should weigh. With 1 one of ten has a third more than its share, with 64 one of a
thousand 7 %; their places take some 60 MB in the proxy. It must stay as it is: most places depend on it."""

MAX_WEIGHT: Final = 256
_PLACES_PER_WEIGHT: Final = 16
_PLACES_PER_SERVER: Final = MAX_WEIGHT * _PLACES_PER_WEIGHT
_MASK: Final = 0xFFFFFFFF
_MAX_ID: Final = 0x7FFFFFFF
_FACTORS: Final = range(101, 65536)

Hash = TypeVar("Hash", int, NDArray[Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server of the backend, as the proxy's configuration has it."""

    name: str
    id: int
    """Its ``id``: from 1 on, never given to another server while keys are to stay where they are."""
    weight: int = WEIGHT


class Ring:
    """Which of some servers owns a key; nothing in it changes.

    Args:
        servers: in the order of the configuration, each with a name and an id of its own.
        balance_factor: ``hash-balance-factor`` in percent; 0 has nobody passed over.
        down: names of those that get nothing, since they are down, drained or in maintenance.

    Raises:
        ValueError: no server is up; two have one name or one id; a number is none that HAProxy takes.
    """

    def __init__(self, servers: Sequence[Server], *, balance_factor: int = 0, down: Collection[str] = ()) -> None:
        _check(servers, balance_factor)
        self.servers = tuple(servers)
        self.balance_factor = balance_factor
        self._places = [server.weight * _PLACES_PER_WEIGHT for server in servers]
        # HAProxy sums these up when it starts, and not again when a server goes down.
        self._places_before = [0, *accumulate(self._places)]
        up = [index for index, server in enumerate(servers) if server.weight and server.name not in down]
        if not up:
            raise ValueError("no server is up")
        self._up_count = len(up)
        self._place_count = sum(self._places[index] for index in up)
        self._hashes, self._owners = _lay_out(self.servers, up)
        # Numbers come out of a view one by one, without a list of them all: a thousand servers have a million places.
        self._line = self._owners.data

    def owner(self, key: str, loads: Mapping[str, int] | None = None) -> Server:
        """Return who gets a request for ``key``.

        Args:
            key: what the proxy hashes.
            loads: requests under way by the server's name, without this one; those left out have none. Without it
                nobody is passed over.
        """
        place = int(self._nearest(np.array([hash_of(key)], np.uint64))[0])
        if loads is None or not self.balance_factor:
            return self.servers[int(self._owners[place])]
        counts = [loads.get(server.name, 0) for server in self.servers]
        index = self.first_with_room(place, counts, sum(counts))
        # Where nobody has room, HAProxy stops at the end of its second time round.
        return self.servers[self._line[-1] if index is None else index]

    def owners(self, key: str, count: int) -> tuple[Server, ...]:
        """Return the first ``count`` servers to which ``key`` may come, the owner first; all, if there are fewer."""
        place = self._nearest(np.array([hash_of(key)], np.uint64))[0]
        return tuple(self.servers[index] for index in self.successors(int(place), count))

    def places_of(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return for each hash of a key the place to which it belongs: [n] -> [n]; ``owners_at`` says whose it is."""
        return self._nearest(hashes)

    def owners_at(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the servers that stand at these places, as indexes of ``servers``."""
        return self._owners[places]

    def successors(self, place: int, count: int) -> list[int]:
        """Return the first ``count`` servers from a place on, as indexes of ``servers``, each once."""
        return list(islice(self._walk(place), count))

    def first_with_room(self, place: int, counts: Sequence[int], total: int) -> int | None:
        """Return the first server from a place on that is not full (rule 4), as an index of ``servers``.

        Args:
            place: where the key belongs.
            counts: requests under way: [servers].
            total: their sum.
        """
        index = self._line[place]
        if counts[index] < self.slots(index, total):
            return index  # most requests: the walk is not even begun
        return next((index for index in self._walk(place) if counts[index] < self.slots(index, total)), None)

    def slots(self, index: int, total: int) -> int:
        """Return how many requests a server may have under way for it to get no other, if all have ``total``."""
        slots = ((total + 1) * self.balance_factor + 99 & _MASK) // 100
        whole, rest = divmod(slots, self._place_count)
        places, before = self._places[index], self._places_before[index]
        share = ((before + places) * rest & _MASK) // self._place_count - (before * rest & _MASK) // self._place_count
        return (places * whole + share & _MASK) or 1

    def shares(self) -> NDArray[np.float64]:
        """Return which part of all keys each server owns: [servers], together 1."""
        gaps = np.diff(self._hashes, append=self._hashes[:1] + np.uint64(1 << 32)).astype(np.float64) / 2
        return np.bincount(self._owners, gaps + np.roll(gaps, 1), len(self.servers)) / float(1 << 32)

    def _nearest(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        count = len(self._hashes)
        behind = np.searchsorted(self._hashes, hashes, side="left") % count
        before = (behind - 1) % count
        mask = np.uint64(_MASK)
        to_before = (hashes - self._hashes[before]) & mask
        to_behind = (self._hashes[behind] - hashes) & mask
        return np.where(to_before <= to_behind, before, behind).astype(np.int64)

    def _walk(self, place: int) -> Iterator[int]:
        """Yield whose the places are from ``place`` on, round the ring, until all have come; each once."""
        seen: set[int] = set()
        for index in chain(self._line[place:], self._line[:place]):
            if index not in seen:
                yield index
                seen.add(index)
                if len(seen) == self._up_count:
                    return  # the rest of a million places has nobody else


def hash_of(key: str) -> int:
    """Return where on the ring a key lies, from 0 to 2**32 - 1."""
    return avalanche(crc32(key.encode()))


def hashes_of(keys: Sequence[str]) -> NDArray[np.uint64]:
    """Return where on the ring keys lie: [n]."""
    return avalanche(np.fromiter((crc32(key.encode()) for key in keys), np.uint64, len(keys)))


def avalanche(number: Hash) -> Hash:
    """Spread numbers of 32 bits over 32 bits, each to another (HAProxy's ``full_hash``, by Bob Jenkins)."""
    number = number + 0x7ED55D16 + (number << 12) & _MASK
    number = number ^ 0xC761C23C ^ (number >> 19)
    number = number + 0x165667B1 + (number << 5) & _MASK
    number = (number + 0xD3A2646C ^ (number << 9)) & _MASK
    number = number + 0xFD7046C5 + (number << 3) & _MASK
    number = number ^ 0xB55A4F09 ^ (number >> 16)
    return number * 3221225473 & _MASK


def _check(servers: Sequence[Server], balance_factor: int) -> None:
    if len({server.name for server in servers}) < len(servers) or len({server.id for server in servers}) < len(servers):
        raise ValueError("each server needs a name and an id of its own")
    if any(not (0 < server.id <= _MAX_ID and 0 <= server.weight <= MAX_WEIGHT) for server in servers):
        raise ValueError(f"ids are from 1 to {_MAX_ID}, weights from 0 to {MAX_WEIGHT}")
    if balance_factor and balance_factor not in _FACTORS:
        raise ValueError("a balance factor is a percentage above 100, or 0 for none")


def _lay_out(servers: Sequence[Server], up: Sequence[int]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the places in their order on the ring, and whose they are; of equal ones the first server's is first."""
    counts = [servers[index].weight * _PLACES_PER_WEIGHT for index in up]
    seeds = [
        np.arange(count, dtype=np.uint64) + np.uint64(servers[index].id * _PLACES_PER_SERVER)
        for index, count in zip(up, counts, strict=True)
    ]
    hashes = avalanche(np.concatenate(seeds) & np.uint64(_MASK))
    order = np.argsort(hashes, kind="stable")
    return hashes[order], np.repeat(np.array(up, np.int64), counts)[order]
