"""The planner's cache keeps, drops and makes wait what the gateway's own does with the same requests."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.planner.cache import Agenda, Cache, Prices
from gateway.planner.disk import Disk
from gateway.serving.session_cache import SessionCache
from registry.records import Version
from tests.support.serving_models import make_version
from tests.support.sessions import MIB, PlainSession
from tests.support.virtual_time import VirtualTimeLoop, run_virtually

SIZES = (1, 1, 2, 3, 1, 4)
SECONDS = (0.011, 0.053, 0.217, 0.0031, 0.73, 0.101)
BUDGET_BYTES = 6 * MIB
VERSIONS = [make_version(f"m{index}", memory_bytes=size * MIB) for index, size in enumerate(SIZES)]

REQUESTS = st.lists(
    st.tuples(st.integers(0, len(SIZES) - 1), st.sampled_from([0.0007, 0.0113, 0.0371, 0.193, 0.911, 3.7])),
    min_size=1,
    max_size=60,
)
"""For which version, and how long after the one before."""


class TimedExecutor(Executor):
    """Loads as many at once as there are places, each for as long as it takes in virtual time; drops take none."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop
        self._places = [0.0, 0.0]

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        if not (args and isinstance(args[0], Version)):
            future.set_result(fn(*args, **kwargs))
            return future
        place = self._places.index(min(self._places))
        now = self._loop.time()
        self._places[place] = max(now, self._places[place]) + SECONDS[VERSIONS.index(args[0])]
        self._loop.call_at(self._places[place], lambda: future.set_result(fn(*args, **kwargs)))
        return future


@given(requests=REQUESTS)
@example(requests=[(index % 6, 0.911) for index in range(60)])
@settings(max_examples=200)
def test_both_have_the_same_hits_loads_and_evictions(requests: list[tuple[int, float]]) -> None:
    assert simulated(requests) == run_virtually(partial(served, requests))


def simulated(requests: list[tuple[int, float]]) -> tuple[list[bool], int, int, list[str]]:
    prices = Prices(
        load_seconds=SECONDS,
        memory_bytes=[size * MIB for size in SIZES],
        file_bytes=[0] * len(SIZES),
        store_seconds=[0.0] * len(SIZES),
        answer_seconds=[0.0] * len(SIZES),
    )
    agenda = Agenda()
    cache = Cache(BUDGET_BYTES, prices, Disk(1), agenda)
    hits, now = [], 1000.0
    for index, pause in requests:
        now += pause
        agenda.run_until(now)
        entry = cache.ready.get(index)
        hits.append(entry is not None)
        if entry is None:
            cache.miss(now, index)
        else:
            entry.uses += 1
            entry.floor = cache.ranking.floor
    agenda.run_until(now + 60)
    return hits, cache.counts.loads, cache.counts.evictions, sorted(f"m{index}:1" for index in cache.ready)


async def served(requests: list[tuple[int, float]]) -> tuple[list[bool], int, int, list[str]]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    cache: SessionCache[PlainSession] = SessionCache(
        budget_bytes=BUDGET_BYTES,
        load=lambda version: PlainSession(version, None, SECONDS[VERSIONS.index(version)]),
        executor=TimedExecutor(loop),
        freed=lambda: None,
        clock=loop.time,
    )
    hits, waiting = [], []
    moment = 1000.0
    for index, pause in requests:
        moment += pause
        await asyncio.sleep(moment - loop.time())
        hits.append(cache.peek(VERSIONS[index]) is not None)
        if not hits[-1]:
            waiting.append(asyncio.ensure_future(cache.preload(VERSIONS[index], moment + 1000)))
    await asyncio.gather(*waiting)
    return hits, cache.stats.loads, cache.stats.evictions, sorted(cache.resident())
