"""Movers: each has a model of its own, whose production alias it promotes and rolls back at random.

1. A mover awaits each answer, so its model's history is one line, and it knows which. Each move carries a reason of its
   own, by which it is found again.
2. Half of the moves promote, most others go one step back, some to a version or to a moment of the past. None asks for
   what is live already.
3. After a move that was not acknowledged the mover reads the history, as soon as somebody answers, and goes on from
   what it finds. A move without an answer can still take place later: a promotion then meets another version than it
   expects, and is refused; that is explained if the history has a move that the mover did not know of.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any

import orjson

from bench.chaos_history import Attempt, Path, Row
from bench.chaos_load import Notes
from bench.http_connection import Answer, Connection

PAUSE_SECONDS = 0.4
ASK_AGAIN_SECONDS = 0.25


class Mover:
    """Moves one model.

    Args:
        connection: to the gateway.
        model: has a promoted version already, and no other moves.
        numbers: of its versions.
        choice: what all chance comes from.
        notes: where it is written down what failed.
        pause_seconds: on average between two moves.
    """

    def __init__(
        self,
        connection: Connection,
        model: str,
        numbers: Sequence[int],
        choice: random.Random,
        notes: Notes,
        *,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        self.model = model
        self.attempts: list[Attempt] = []
        self.rows: list[Row] = []
        """The history, as far as it has been told."""
        self._path = Path()
        self._connection = connection
        self._numbers = numbers
        self._choice = choice
        self._notes = notes
        self._pause_seconds = pause_seconds
        self._route = f"/registry/models/{model}"

    @property
    def acknowledged_count(self) -> int:
        return sum(attempt.is_acknowledged for attempt in self.attempts)

    async def run(self) -> None:
        """Move until the end."""
        await self._catch_up()
        while not self._notes.is_ending:
            await self._move()
            await asyncio.sleep(self._choice.uniform(0, 2 * self._pause_seconds))

    async def finish(self) -> list[Row]:
        """Read the whole history, and compare its end with the alias."""
        await self._catch_up()
        rows = await self._read_history(after=0)
        alias = await self._ask("GET", "/aliases/production")
        if alias["version"] != rows[-1].to_version:
            self._notes.fails(f"{self.model}: the alias is at {alias['version']}, the history at {rows[-1]}")
        self._connection.close()
        return rows

    # --- moving -------------------------------------------------------------------------------------------------------

    async def _move(self) -> None:
        attempt, method, path, body = self._plan()
        self.attempts.append(attempt)
        try:
            answer = await self._connection.request(method, self._route + path, orjson.dumps(body))
        except (OSError, EOFError, TimeoutError) as error:
            self._notes.breaks(self._connection, error, asked_at=attempt.asked_at, is_control=True)
            await self._catch_up()
            return
        told = orjson.loads(answer.body).get("move") if answer.status == 200 else None
        if told is None:
            await self._stumble(attempt, answer)
            return
        row = Row.from_json(told)
        attempt.row, attempt.known_at, attempt.is_acknowledged = row, time.monotonic(), True
        if row.from_version == self._path.live:
            self._take(row)
        else:
            await self._catch_up()

    def _plan(self) -> tuple[Attempt, str, str, dict[str, Any]]:
        """Choose a move that changes something."""
        choice, live = self._choice, self._path.live
        reason = f"{self.model}, move {len(self.attempts)}"
        draw = choice.random()
        past = [row for row in self.rows if row.to_version != live]
        if draw < 0.5 or self._path.way_back is None or not past:
            version = choice.choice([number for number in self._numbers if number != live])
            body = {"version": version, "expected": live, "reason": reason}
            return self._attempt(reason, "promote", version), "PUT", "/aliases/production", body
        back = choice.choice(past)
        target = None if draw < 0.9 else back.to_version
        body = {"reason": reason}
        if target is not None:
            body |= {"to": target} if draw < 0.95 else {"to_time": back.at}
        return self._attempt(reason, "rollback", target), "POST", "/aliases/production/rollback", body

    def _attempt(self, reason: str, kind: str, target: int | None) -> Attempt:
        return Attempt(reason=reason, kind=kind, target=target, asked_at=time.monotonic())

    async def _stumble(self, attempt: Attempt, answer: Answer) -> None:
        """Go on after an answer that tells of no move (rule 3)."""
        before = len(self.rows)
        await self._catch_up()
        is_explained = any(row.reason != attempt.reason for row in self.rows[before:])
        if answer.status in (200, 409) and is_explained:
            self._notes.refused["overtaken"] += 1
        else:
            self._notes.refuses(answer, asked_at=attempt.asked_at)

    # --- the history --------------------------------------------------------------------------------------------------

    async def _catch_up(self) -> None:
        """Learn of moves that were not acknowledged."""
        rows = await self._read_history(after=self.rows[-1].id if self.rows else 0)
        now = time.monotonic()
        asked = {attempt.reason: attempt for attempt in self.attempts}
        for row in rows:
            self._take(row)
            attempt = asked.get(row.reason)
            if attempt is not None and attempt.row is None:
                attempt.row, attempt.known_at = row, now

    def _take(self, row: Row) -> None:
        self.rows.append(row)
        self._path.take(row)

    async def _read_history(self, *, after: int | None) -> list[Row]:
        rows: list[Row] = []
        while after is not None:
            page = await self._ask("GET", f"/history?limit=1000&after={after}")
            rows += map(Row.from_json, page["items"])
            after = page["next"]
        return rows

    async def _ask(self, method: str, path: str) -> Any:
        """Ask until there is an answer."""
        while True:
            asked_at = time.monotonic()
            try:
                answer = await self._connection.request(method, self._route + path)
            except (OSError, EOFError, TimeoutError) as error:
                self._notes.breaks(self._connection, error, asked_at=asked_at, is_control=True)
            else:
                if answer.status == 200:
                    return orjson.loads(answer.body)
                self._notes.refuses(answer, asked_at=asked_at)
            await asyncio.sleep(ASK_AGAIN_SECONDS)
