"""What a gateway that takes its place behind a proxy will be asked for: its share of what the others are asked for now.

1. With the first health checks that it passes, the proxy moves a share of the keys to a gateway
   (``gateway.placement.ring``). What they lead to is loaded in the gateways that had them so far, which say in the
   registry what they have loaded, and which places they have.
2. A version is of the share if one of the keys by which it is asked for, its number and the aliases that lead to it,
   will be ours, and was theirs who have it loaded: what is asked for by its alias is not loaded where its number lies.
3. What the same place had within the hour is of the share as well, whoever has it now: a gateway that is replaced finds
   its models again, although the others have hardly been asked for them.
4. Where no other gateway answers there is no share: who waits for the gateway is served soonest if it loads nothing.

HAProxy's ring is meant; behind another proxy what is found is little, and none of its share.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

from gateway.placement.keys import key_of
from gateway.placement.ring import Ring, Server
from registry.names import Reference, parse_reference
from registry.records import Alias, WorkerReport


def find_share(
    reports: Iterable[WorkerReport],
    living: Collection[tuple[str, int]],
    ring_id: int,
    aliases_of: Callable[[str], Sequence[Alias]],
) -> list[Reference]:
    """Return the versions of a share, first those that most workers have loaded.

    Args:
        reports: of workers whose gateways have a place, those that have ended lately too.
        living: host and process id of those that are alive.
        ring_id: our place.
        aliases_of: returns a model's aliases.
    """
    ours, others = list[WorkerReport](), list[WorkerReport]()
    for report in reports:
        if report.ring_id == ring_id:
            ours.append(report)
        elif (report.host, report.pid) in living:
            others.append(report)
    if not any(report.resident for report in others):
        return []
    had = Counter(text for report in ours for text in report.resident)
    # One that begins as we do has nothing loaded yet: it takes its share at the same time.
    before = _ring({report.ring_id for report in others if report.resident})
    after = _ring({ring_id, *(report.ring_id for report in others)})
    for report in others:
        for text in report.resident:
            reference = parse_reference(text)
            keys = _keys(reference, aliases_of)
            if any(after.owner(key).id == ring_id and before.owner(key).id == report.ring_id for key in keys):
                had[text] += 1
    return [parse_reference(text) for text, _ in had.most_common()]


def _ring(ids: Collection[int]) -> Ring:
    return Ring([Server(name=str(id_), id=id_) for id_ in sorted(ids)])


def _keys(reference: Reference, aliases_of: Callable[[str], Sequence[Alias]]) -> list[str]:
    number = reference.version
    assert number is not None  # noqa: S101 - reports name versions
    names = [alias.name for alias in aliases_of(reference.model) if number in alias.targets]
    return [key_of(reference.model, name) for name in (str(number), *names)]
