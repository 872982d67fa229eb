"""Hearing of events on a real PostgreSQL, instead of asking for them."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from queue import Queue

import pytest

from gateway.serving.change_feed import ChangeFeed
from registry.events import Event, EventKind
from registry.records import WorkerReport
from registry.sql import schema
from registry.sql.unit_of_work import SqlRegistry
from tests.support.postgres import PostgresServer
from tests.support.registries import NOON

_SECONDS = 30.0


@pytest.fixture
def registry(server: PostgresServer) -> Iterator[SqlRegistry]:
    url = server.create("registry")
    schema.upgrade(url)
    with closing(SqlRegistry.open(url)) as opened:
        yield opened


def add_event(registry: SqlRegistry) -> None:
    with registry.writing() as transaction:
        transaction.ensure_model("iris", actor="ada", at=NOON)
        for _ in range(2):
            transaction.add_event(EventKind.MODEL_CHANGED, model="iris", actor="ada", at=NOON, detail={})


def add_event_and_fail(registry: SqlRegistry) -> None:
    with registry.writing() as transaction:
        transaction.ensure_model("wine", actor="ada", at=NOON)
        transaction.add_event(EventKind.MODEL_CHANGED, model="wine", actor="ada", at=NOON, detail={})
        raise ZeroDivisionError


def report(applied: int) -> WorkerReport:
    return WorkerReport(host="here", pid=1, applied=applied, resident=(), reported_at=NOON)


def test_whoever_listens_is_called_once_when_it_begins_and_once_for_each_commit_with_events(
    registry: SqlRegistry,
) -> None:
    calls: Queue[None] = Queue()
    with registry.listening(lambda: calls.put(None)):
        calls.get(timeout=_SECONDS)
        with pytest.raises(ZeroDivisionError):
            add_event_and_fail(registry)
        with registry.writing() as transaction:
            transaction.report_worker(report(0))
        add_event(registry)
        calls.get(timeout=_SECONDS)
    add_event(registry)
    assert calls.empty()


def test_whoever_listens_is_called_when_the_server_is_back_and_from_then_on(
    server: PostgresServer, registry: SqlRegistry
) -> None:
    calls: Queue[None] = Queue()
    with registry.listening(lambda: calls.put(None)):
        calls.get(timeout=_SECONDS)
        server.restart()
        calls.get(timeout=_SECONDS)
        add_event(registry)
        calls.get(timeout=_SECONDS)


def test_a_server_that_stood_still_is_heard_when_it_goes_on(server: PostgresServer, registry: SqlRegistry) -> None:
    calls: Queue[None] = Queue()
    with registry.listening(lambda: calls.put(None)):
        calls.get(timeout=_SECONDS)
        server.pause()
        server.resume()
        add_event(registry)
        calls.get(timeout=_SECONDS)


def test_nobody_waits_long_for_a_listener_to_end_whose_server_stands_still(
    server: PostgresServer, registry: SqlRegistry
) -> None:
    calls: Queue[None] = Queue()
    with registry.listening(lambda: calls.put(None)):
        calls.get(timeout=_SECONDS)
        server.pause()
    server.resume()
    assert calls.empty()


def test_a_server_that_is_away_from_the_beginning_is_listened_to_when_it_is_there(
    server: PostgresServer, registry: SqlRegistry
) -> None:
    calls: Queue[None] = Queue()
    server.stop()
    with registry.listening(lambda: calls.put(None)):
        server.start()
        calls.get(timeout=_SECONDS)


def test_a_feed_that_is_called_does_not_wait_for_its_next_reading(registry: SqlRegistry) -> None:
    async def follow() -> list[int]:
        applied: list[int] = []
        is_listening, is_done = asyncio.Event(), asyncio.Event()

        async def apply(event: Event) -> None:
            applied.append(event.sequence)
            if len(applied) == 2:
                is_done.set()

        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(2) as executor:
            feed = ChangeFeed(
                registry, apply=apply, begin=ignore, report=report, executor=executor, poll_seconds=3600.0
            )
            await feed.catch_up()
            feed.start()

            def hear() -> None:
                loop.call_soon_threadsafe(feed.wake)
                loop.call_soon_threadsafe(is_listening.set)

            with registry.listening(hear):
                await asyncio.wait_for(is_listening.wait(), _SECONDS)
                await loop.run_in_executor(executor, add_event, registry)
                await asyncio.wait_for(is_done.wait(), _SECONDS)
            await feed.close()
        return applied

    assert asyncio.run(follow()) == [1, 2]


ignore: Callable[[int], None] = int
