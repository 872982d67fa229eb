"""What a gateway that takes its place behind a proxy will be asked for: its share of what the others are asked for now.

1. With the first health checks that it passes, the proxy moves a share of the keys to a gateway
   (``gateway.placement.ring``). What they lead to is loaded in the gateways that had them so far, which say in the
   registry what they have loaded, and which places they have.
2. Of the share is a version that an alias leads to whose key will be ours, and was theirs who have the version loaded.
   It counts as asked for by its number only where no alias explains why it is there.
3. What the same place had within the hour is of the share as well, whoever has it now: a gateway that is replaced finds
   its models again, although the others have hardly been asked for them.
4. Aliases are named as such: whoever resolves them follows their next moves.
5. What has been used most comes first, in each gateway: where there is no room or no time for all, the tail stays cold.
6. Where no other gateway answers there is no share: who waits for the gateway is served soonest if it loads nothing.

HAProxy's ring is meant. Behind another proxy what is found is not the share: it costs loads, and brings nothing.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cache
from typing import Final

from gateway.placement.keys import key_of
from gateway.placement.ring import Ring, Server
from registry.names import Reference, parse_reference
from registry.records import Alias, WorkerReport

_TOGETHER: Final = timedelta(seconds=15)
"""So far apart are the last reports of workers that were there at the same time."""


def find_share(
    reports: Iterable[WorkerReport],
    living: Collection[tuple[str, int]],
    ring_id: int,
    aliases: Mapping[str, Sequence[Alias]],
) -> list[Reference]:
    """Return what leads to the versions of a share, what has been used most first.

    Args:
        reports: of workers whose gateways have a place, those that have ended lately too; what each has loaded in the
            order of use.
        living: host and process id of those that are alive.
        ring_id: our place.
        aliases: of every model that a report names, by its name.
    """
    ours, others = list[WorkerReport](), list[WorkerReport]()
    for report in reports:
        if report.ring_id == ring_id:
            ours.append(report)
        elif (report.host, report.pid) in living:
            others.append(report)
    if not any(report.resident for report in others):
        return []
    moves = _Moves(ring_id, others)
    ranks: dict[Reference, int] = {}
    for report in (*_newest(ours), *others):
        for rank, text in enumerate(report.resident):
            loaded = parse_reference(text)
            leading = [alias.name for alias in aliases.get(loaded.model, ()) if loaded.version in alias.targets]
            mine = report.ring_id == ring_id
            for reference in _had(loaded, leading) if mine else moves.of(loaded, leading, report.ring_id):
                ranks[reference] = min(rank, ranks.get(reference, rank))
    return sorted(ranks, key=ranks.__getitem__)


def _newest(reports: Sequence[WorkerReport]) -> list[WorkerReport]:
    """Return the reports of the workers that a place had last."""
    last = max((report.reported_at for report in reports if report.resident), default=None)
    return [report for report in reports if last is not None and report.reported_at >= last - _TOGETHER]


def _had(loaded: Reference, leading: Sequence[str]) -> list[Reference]:
    return [Reference(loaded.model, alias=name) for name in leading] or [loaded]


class _Moves:
    """Which keys move to a place, and whose they were."""

    def __init__(self, ring_id: int, others: Sequence[WorkerReport]) -> None:
        # One that begins as we do has nothing loaded yet: it takes its share at the same time.
        before = _ring({report.ring_id for report in others if report.resident})
        after = _ring({ring_id, *(report.ring_id for report in others)})
        self._owner_before = cache(lambda key: before.owner(key).id)
        self._is_ours = cache(lambda key: after.owner(key).id == ring_id)

    def of(self, loaded: Reference, leading: Sequence[str], holder: int) -> Iterator[Reference]:
        """Yield by which references a version will be asked for here that ``holder`` has loaded."""
        keys = {name: key_of(loaded.model, name) for name in leading}
        explaining = [name for name, key in keys.items() if self._owner_before(key) == holder]
        yield from (Reference(loaded.model, alias=name) for name in explaining if self._is_ours(keys[name]))
        number = key_of(loaded.model, str(loaded.version))
        if not explaining and self._owner_before(number) == holder and self._is_ours(number):
            yield loaded


def _ring(ids: Collection[int]) -> Ring:
    return Ring([Server(name=str(id_), id=id_) for id_ in sorted(ids)])
