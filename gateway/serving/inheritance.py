"""What a worker loads before it takes connections, where others of its host answer already.

1. A worker that takes a dead one's place first loads what the workers of its host had loaded a moment ago, the dead one
   too: whoever is connected to it then does not wait for what everybody uses. The others answer meanwhile.
2. That takes half a second at most, a registry that is silent included, and makes no room: what does not fit, and what
   there was no time for, is loaded when it is asked for, as ever.
3. Where nobody answers meanwhile, it takes connections at once, and none of this is done.
4. What runs in processes of its own is left to the first request: it may be what the other worker has died of.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final

from registry.errors import ServiceError
from registry.names import Reference, parse_reference
from registry.records import Version, WorkerReport
from registry.standing import Isolation

SECONDS: Final = 0.5


def list_inheritance(reports: Iterable[WorkerReport], host: str, own_pid: int) -> list[Reference]:
    """Return what there is to load, what most workers had first.

    Args:
        reports: what workers have said of themselves lately.
        host: the name of this one.
        own_pid: of the worker that asks.
    """
    ours = [report for report in reports if report.host == host and report.pid != own_pid]
    counted = Counter(text for report in ours for text in report.resident)
    return [parse_reference(text) for text, _ in counted.most_common()]


async def inherit(
    find_references: Callable[[], Awaitable[Iterable[Reference]]],
    *,
    find: Callable[[Reference], Awaitable[Version]],
    load: Callable[[Version], Awaitable[None]],
    isolation_of: Callable[[Version], Isolation],
) -> None:
    """Load, one after the other, by rules 2 and 4.

    Args:
        find_references: asks the registry what there is to load, as versions; raises ServiceError.
        find: returns the version; raises ServiceError.
        load: loads it into memory that nobody else needs; raises ServiceError.
        isolation_of: tells where a version is run.
    """
    with suppress(TimeoutError, ServiceError):
        async with asyncio.timeout(SECONDS):
            for reference in await find_references():
                with suppress(ServiceError):
                    version = await find(reference)
                    if isolation_of(version) is Isolation.IN_PROCESS:
                        await load(version)
