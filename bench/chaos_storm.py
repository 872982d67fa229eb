"""Load, moves, faults and kills together, and the judgement of it all."""

import asyncio
import random
import time
from collections.abc import Sequence

from bench.backends import Backends
from bench.chaos_answers import Judgement, Timeline, judge
from bench.chaos_faults import Gate, Trouble, kill_workers
from bench.chaos_gateway import COLD_COUNT, load_cold, move, until_well
from bench.chaos_history import Row, history_faults
from bench.chaos_load import Load, Notes
from bench.chaos_moves import Mover
from bench.http_connection import Connection
from bench.servers import Server
from bench.soak_models import Rows, SoakVersion

RECOVERY_SECONDS = 120.0
"""Within which all has to be well after the last trouble, and every request answered."""
LATE_SECONDS = 1.0
"""How late the last old answer may come."""


class Storm:
    """One run of load, moves, faults and kills, and its judgement.

    Args:
        gateway: ready, with every version registered and once loaded.
        parts: what it runs on.
        versions: of the models that are moved.
        inputs: for all of them.
        choice: what all chance comes from.
        ends_at: when no further fault is begun.
    """

    def __init__(
        self,
        gateway: Server,
        parts: Backends,
        versions: Sequence[SoakVersion],
        inputs: Sequence[Rows],
        *,
        choice: random.Random,
        move_count: int,
        ends_at: float,
    ) -> None:
        self.notes = Notes()
        self.load = Load(gateway.port, versions, inputs, self.notes)
        numbers: dict[str, list[int]] = {}
        for version in versions:
            numbers.setdefault(version.model, []).append(version.number)
        self.movers = [
            Mover(Connection(gateway.port), model, known, random.Random(choice.random()), self.notes)  # noqa: S311  no secret
            for model, known in numbers.items()
        ]
        self.judgements: dict[str, Judgement] = {}
        self._gateway = gateway
        self._parts = parts
        self._trouble_choice, self._kill_choice, self._load_choice = (
            random.Random(choice.random())  # noqa: S311  as above
            for _ in range(3)
        )
        self._move_count = move_count
        self._ends_at = ends_at
        self._began = time.monotonic()
        self._cold = iter(range(COLD_COUNT - 1))

    @property
    def acknowledged_count(self) -> int:
        return sum(mover.acknowledged_count for mover in self.movers)

    async def run(self, gate_port: int) -> None:
        """Let everything loose, and judge it when it is over.

        Raises:
            ServerFailedError: it does not do what it should before or after the trouble.
            TimeoutError: nor in time.
        """
        gate = Gate(int(self._parts.store.endpoint_url.rpartition(":")[2]))
        trouble = Trouble(
            self._parts.database, self._parts.store, gate, notes=self.notes, say=self.say, load_cold=self._load_cold
        )
        async with gate.open(gate_port):
            port = self._gateway.port
            killing = asyncio.create_task(kill_workers(self._gateway.pid, port, self._kill_choice, self.notes))
            busy = [asyncio.create_task(self.load.run(self._load_choice))]
            busy += [asyncio.create_task(mover.run()) for mover in self.movers]
            try:
                await trouble.run(self._trouble_choice, self._is_enough)
            finally:
                killing.cancel()
                self.notes.is_ending = True
            async with asyncio.timeout(RECOVERY_SECONDS):
                await asyncio.gather(*busy)
                await until_well(port)
                await load_cold(port, f"cold-{COLD_COUNT - 1}")
                await move(port)
                self.say("healthy; a cold model is fetched, an alias moves")
                histories = [await mover.finish() for mover in self.movers]
        for mover, rows in zip(self.movers, histories, strict=True):
            self._judge(mover, rows)

    def failures(self) -> list[str]:
        """Return one line for each kind of failure, with the seconds of its first and its last time."""
        return [
            f"{len(times)} x {what} ({times[0] - self._began:.1f} s to {times[-1] - self._began:.1f} s)"
            for what, times in self.notes.failures.items()
        ]

    def say(self, words: str) -> None:
        """Print what happens, and when."""
        print(f"{time.monotonic() - self._began:6.1f} s  {words} ({self.acknowledged_count} moves)", flush=True)

    def _is_enough(self) -> bool:
        return self.acknowledged_count >= self._move_count or time.monotonic() > self._ends_at

    async def _load_cold(self) -> None:
        number = next(self._cold, None)
        if number is not None:
            self.say("a cold model is fetched")
            await load_cold(self._gateway.port, f"cold-{number}")

    def _judge(self, mover: Mover, rows: Sequence[Row]) -> None:
        for fault in history_faults(rows, mover.attempts):
            self.notes.fails(f"{mover.model}: {fault}")
        timeline = Timeline(rows, mover.attempts)
        found = self.judgements[mover.model] = judge(self.load.answers[mover.model], timeline, self.notes.outages)
        for fault in found.wrong:
            self.notes.fails(f"{mover.model}: {fault}")
        for row, late, known_at in zip(rows[1:], found.lateness, timeline.known[1:], strict=True):
            if late >= LATE_SECONDS:
                print(f"{known_at - self._began:6.1f} s  {mover.model}: old answers for {late:.3f} s after {row}")
