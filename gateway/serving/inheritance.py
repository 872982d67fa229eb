"""What a worker loads before it takes connections, where others answer meanwhile.

1. A worker that takes a dead one's place first loads what the workers of its host had loaded a moment ago, the dead one
   too: whoever is connected to it then does not wait for what everybody uses. The others answer meanwhile. That takes
   half a second at most.
2. A worker of a gateway that begins behind a proxy first loads its share of what the other gateways are asked for
   (``gateway.placement.share``). The proxy sends nothing here until it is ready, so that may take longer.
3. A registry that is silent is waited for no longer than that, and no room is made: what does not fit, and what there
   was no time for, is loaded when it is asked for, as ever.
4. Where nobody answers meanwhile, it takes connections at once, and none of this is done.
5. What runs in processes of its own is left to the first request: it may be what the other worker has died of.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final

from registry.errors import ServiceError
from registry.names import Reference, parse_reference
from registry.records import Version, WorkerReport
from registry.standing import Isolation

SECONDS: Final = 0.5
SHARE_SECONDS: Final = 20.0
SHARE_WIDTH: Final = 4
"""How many of a share are loaded at a time: most of such a load is waiting for the store."""


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


async def load_ahead(
    find_references: Callable[[], Awaitable[Iterable[Reference]]],
    *,
    find: Callable[[Reference], Awaitable[Version]],
    load: Callable[[Version], Awaitable[None]],
    isolation_of: Callable[[Version], Isolation],
    is_over: Callable[[], bool] = lambda: False,
    seconds: float = SECONDS,
    width: int = 1,
) -> int:
    """Load by rules 3 and 5, in the order in which they are found, and return how many have been loaded.

    Args:
        find_references: asks the registry what there is to load, as versions; raises ServiceError.
        find: returns the version; raises ServiceError.
        load: loads it into memory that nobody else needs; raises ServiceError.
        isolation_of: tells where a version is run.
        is_over: tells that nobody will ask: nothing more is begun then.
        seconds: that all of it may take.
        width: how many are loaded at a time.
    """
    loaded_count = 0

    async def take(references: Iterator[Reference]) -> None:
        nonlocal loaded_count
        for reference in references:
            if is_over():
                return
            with suppress(ServiceError):
                version = await find(reference)
                if isolation_of(version) is Isolation.IN_PROCESS:
                    await load(version)
                    loaded_count += 1

    with suppress(TimeoutError, ServiceError):
        async with asyncio.timeout(seconds):
            references = iter(await find_references())
            await asyncio.gather(*(take(references) for _ in range(width)))
    return loaded_count
