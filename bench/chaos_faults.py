"""Everything that goes wrong in the chaos, one thing after the other, while workers are killed.

1. The database is restarted as by a crash, then stands still; the S3 server stands still, then drips; for half a minute
   each. What follows comes by chance, and is shorter.
2. What the load asks for lies in the disk cache, since that is what an outage of the store is to be survived with.
   Before the S3 server stands still, a model is asked for that does not: it is fetched.
3. A worker is killed every few seconds, if there is another. It is halted first, so that it can be told whose
   connections break with it.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from bench.chaos_load import Notes
from bench.processes import clients_of, halt
from bench.servers import HOST
from tests.support.gateway_process import children_of
from tests.support.postgres import PostgresServer
from tests.support.s3_server import S3Server

KILL_SECONDS = (2.5, 7.5)
OUTAGE_SECONDS = 30.0
LATER_OUTAGE_SECONDS = (2.0, 10.0)
CALM_SECONDS = 5.0
DRIP_BYTES_PER_SECOND = 2000


class Gate:
    """A TCP proxy in front of the S3 server, which can let through a few bytes a second."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: set[asyncio.Task[None]] = set()
        self.is_dripping = False

    @asynccontextmanager
    async def open(self, port: int) -> AsyncIterator[None]:
        """Listen at ``port`` for as long as the block takes."""
        server = await asyncio.start_server(self._accept, HOST, port)
        try:
            yield
        finally:
            server.close()
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(HOST, self._port)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(self._pump(reader, there_writer), self._pump(there_reader, writer))
        except OSError:
            pass
        finally:
            writer.close()
            there_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(64 * 1024):
            if self.is_dripping:
                for start in range(0, len(chunk), DRIP_BYTES_PER_SECOND):
                    writer.write(chunk[start : start + DRIP_BYTES_PER_SECOND])
                    await writer.drain()
                    await asyncio.sleep(1.0)
            else:
                writer.write(chunk)
                await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


class Trouble:
    """The faults of one run.

    Args:
        database: real, and ours.
        store: likewise.
        gate: in front of the store.
        notes: outages are written down there.
        say: tells whoever watches.
        load_cold: has a model fetched that no cache has, or raises; does nothing when there is none left.
    """

    def __init__(
        self,
        database: PostgresServer,
        store: S3Server,
        gate: Gate,
        *,
        notes: Notes,
        say: Callable[[str], None],
        load_cold: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = database
        self._store = store
        self._gate = gate
        self._notes = notes
        self._say = say
        self._load_cold = load_cold

    async def run(self, choice: random.Random, is_enough: Callable[[], bool]) -> None:
        """Go through a whole round, then on until it is enough."""
        faults: Sequence[Callable[[float], Awaitable[None]]] = (
            self._restart_database,
            self._pause_database,
            self._stop_store,
            self._have_store_drip,
        )
        await asyncio.sleep(CALM_SECONDS)
        for fault in faults:
            await fault(OUTAGE_SECONDS)
            await asyncio.sleep(CALM_SECONDS)
        while not is_enough():
            await choice.choice(faults)(choice.uniform(*LATER_OUTAGE_SECONDS))
            await asyncio.sleep(CALM_SECONDS)
        self._say("all is well again")

    async def _restart_database(self, _seconds: float) -> None:
        self._say("the database is restarted")
        self._notes.outages.begin(time.monotonic())
        await asyncio.to_thread(self._database.restart)
        self._notes.outages.end(time.monotonic())

    async def _pause_database(self, seconds: float) -> None:
        self._say(f"the database stands still for {seconds:.0f} s")
        self._notes.outages.begin(time.monotonic())
        self._database.pause()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._database.resume()
            self._notes.outages.end(time.monotonic())

    async def _stop_store(self, seconds: float) -> None:
        await self._load_cold()
        self._say(f"the S3 server stands still for {seconds:.0f} s")
        with self._store.stopped():
            await asyncio.sleep(seconds)

    async def _have_store_drip(self, seconds: float) -> None:
        self._say(f"the S3 server drips for {seconds:.0f} s")
        self._gate.is_dripping = True
        await asyncio.sleep(seconds)
        self._gate.is_dripping = False


async def kill_workers(supervisor: int, port: int, choice: random.Random, notes: Notes) -> None:
    """Kill a worker every few seconds, for ever."""
    while True:
        await asyncio.sleep(choice.uniform(*KILL_SECONDS))
        workers = await asyncio.to_thread(children_of, supervisor, "gateway.worker")
        if len(workers) > 1:  # the other one is there already
            # In one go in a thread: whoever cancels us must not leave a worker behind that only stands still.
            await asyncio.to_thread(_kill, choice.choice(sorted(workers)), port, notes)


def _kill(victim: int, port: int, notes: Notes) -> None:
    with suppress(OSError):  # it has just ended by itself
        halt(victim)
        notes.orphans |= clients_of(victim, port)
        os.kill(victim, signal.SIGKILL)
        notes.killed.append(victim)
