"""One run of the soak on a gateway that is ready: warm up, read, load, read again."""

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.http_connection import Connection
from bench.servers import Server
from bench.soak_balance import Highest, Line, Reading, balance, middle
from bench.soak_changes import Mover, Publisher
from bench.soak_crowd import crowd
from bench.soak_dialects import NATIVE
from bench.soak_hostile import Villain
from bench.soak_judgement import Judge
from bench.soak_load import Actor, HttpCaller, Notes, Place, RpcCaller, act_until
from bench.soak_models import Rows, SoakVersion
from bench.soak_nuisance import Dawdler, Stranger

HTTP_CALLERS = 16
RPC_CALLERS = 4
STRANGERS = 3
DAWDLERS = 3
EVERY_SECONDS = 1.0
EVERY_READINGS = 60
"""One in so many is printed, or rather what is watched of it."""
THREADS = "threads of workers"
WATCHED = ("anonymous of workers, bytes", THREADS, "descriptors of all", "temporary files")
ROUNDS = 12
"""Requests for each version on a connection of its own, so that each worker has had all of them."""
SETTLING_SECONDS = 40.0
"""The programs whose forks inspect models end when nobody has wanted them for half a minute."""
QUIET_READINGS = 7


class Run:
    """Everybody who takes part, and what is read meanwhile.

    Args:
        server: the gateway.
        place: where it is, and who asks.
        folder: for files of models.
        versions: all that are registered.
        inputs: for all of them.
        choice: what all chance comes from.
        has_killers: whether models that kill are there.
        take: returns a reading, now.
    """

    def __init__(
        self,
        server: Server,
        place: Place,
        folder: Path,
        *,
        versions: Sequence[SoakVersion],
        inputs: Sequence[Rows],
        choice: random.Random,
        has_killers: bool,
        take: Callable[[], Reading],
    ) -> None:
        self.notes = Notes()
        self.highest = Highest()
        self._server = server
        self._place = place
        self._versions = versions
        self._inputs = inputs
        self._choice = choice
        self._take = take
        self._judge = Judge(versions)
        self._actors = self._cast(folder, has_killers=has_killers)

    async def run(self, warm_up_seconds: float, seconds: float) -> list[Line]:
        """Return what became of each measure."""
        reading = asyncio.create_task(self._read_each_second())
        try:
            await crowd(
                self._place,
                self._versions,
                self._inputs[0],
                notes=self.notes,
                choice=self._choice,
                count_threads=lambda: self._take()[THREADS],
            )
            await self._load(warm_up_seconds)
            start = await self._quiet()
            self._say("the beginning is read")
            await self._load(seconds)
            end = await self._quiet()
        finally:
            reading.cancel()
        if not reading.cancelled() and reading.done():
            reading.result()  # it has ended by itself, and why is worth knowing
        return balance(start, self.highest.values, end)

    def _cast(self, folder: Path, *, has_killers: bool) -> list[Actor]:
        place, notes, judge, inputs = self._place, self.notes, self._judge, self._inputs
        models = sorted({version.model for version in self._versions})

        def chance() -> random.Random:
            return random.Random(self._choice.random())  # noqa: S311  a load, not a secret

        callers = [HttpCaller] * HTTP_CALLERS + [RpcCaller] * RPC_CALLERS
        return [
            *[kind(place, models, inputs, judge=judge, notes=notes, choice=chance()) for kind in callers],
            Mover(place, models, notes),
            Publisher(place, folder, inputs, judge=judge, notes=notes, choice=chance()),
            *[Stranger(place, notes, chance()) for _ in range(STRANGERS)],
            *[Dawdler(place, notes, chance()) for _ in range(DAWDLERS)],
            Villain(place, notes, chance(), has_killers=has_killers),
        ]

    async def _load(self, seconds: float) -> None:
        await act_until(time.monotonic() + seconds, self._actors, self.notes)

    async def _read_each_second(self) -> None:
        for second in itertools.count():
            reading = await asyncio.to_thread(self._take)
            self.highest.add(reading)
            if second % EVERY_READINGS == 0:
                self._say(", ".join(f"{reading[measure]} {measure}" for measure in WATCHED))
            await asyncio.sleep(EVERY_SECONDS)

    # --- quiet moments ------------------------------------------------------------------------------------------------

    async def _quiet(self) -> dict[str, float]:
        """Bring every worker into the same state, wait until nothing happens any more, and read."""
        for version in self._versions:
            for _ in range(ROUNDS):
                await self._ask(version)
        await asyncio.sleep(SETTLING_SECONDS)
        await asyncio.to_thread(self._server.wait_until_quiet)
        readings = []
        for _ in range(QUIET_READINGS):
            readings.append(await asyncio.to_thread(self._take))
            await asyncio.sleep(EVERY_SECONDS)
        return middle(readings)

    async def _ask(self, version: SoakVersion) -> None:
        connection = Connection(self._place.port, self._place.token)
        path = f"/v{version.number}/models/{version.model}/predict"
        try:
            answer = await connection.request("POST", path, NATIVE.encode(self._inputs[0]))
        finally:
            connection.close()
        fault = self._judge.fault(answer, version.model, 0)
        if fault is not None:
            self.notes.fails(f"in a quiet moment: {fault}")

    def _say(self, words: str) -> None:
        notes = self.notes
        counts = f"{notes.answered.total()} right answers, {notes.failures.total()} failures"
        print(f"{time.monotonic() - notes.began:7.1f} s  {counts}; {words}", flush=True)
