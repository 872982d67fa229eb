"""A steady load through the proxy, of which each request is written down.

1. A request has an id of its own, by which the gateways' logs tell who has answered it.
2. An answer is right in itself if its number is that of the version that it names. Whether that version was live is
   judged afterwards.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from bench.chaos_load import problem_of
from bench.http_connection import JSON_BODY, Answer, Connection
from bench.replicas_constants import ROW, Constants

CALLERS = 6
PAUSE_SECONDS = 0.05
"""On average between an answer and the caller's next request."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; moments are of the monotonic clock."""

    id: str
    model: str
    sent_at: float
    ended_at: float
    version: int
    """That has answered; 0 for none."""
    fault: str
    """What was wrong with the answer, or why there was none; nothing if it was right in itself."""


class Load:
    """Callers who ask for models at random, through the alias.

    Args:
        connect: opens a connection to the proxy.
        constants: what is right.
        models: what they ask for.
    """

    def __init__(self, connect: Callable[[], Connection], constants: Constants, models: Sequence[str]) -> None:
        self.asked: list[Asked] = []
        self.is_ending = False
        self._connect = connect
        self._constants = constants
        self._models = models
        self._numbers = itertools.count()
        self._body = orjson.dumps(ROW)

    async def run(self, choice: random.Random) -> None:
        """Ask until the end."""
        seeds = [choice.random() for _ in range(CALLERS)]
        await asyncio.gather(*(self._ask_until_the_end(random.Random(seed)) for seed in seeds))  # noqa: S311  a load

    async def ask_once(self, models: Sequence[str]) -> None:
        """Ask for each of these, one after the other."""
        connection = self._connect()
        for model in models:
            await self._ask(connection, model)
        connection.close()

    async def _ask_until_the_end(self, choice: random.Random) -> None:
        connection = self._connect()
        while not self.is_ending:
            await self._ask(connection, choice.choice(self._models))
            await asyncio.sleep(choice.uniform(0, 2 * PAUSE_SECONDS))
        connection.close()

    async def _ask(self, connection: Connection, model: str) -> None:
        name, sent_at, version = f"load-{next(self._numbers)}", time.monotonic(), 0
        headers = {**JSON_BODY, "x-request-id": name}
        try:
            answer = await connection.request("POST", f"/models/{model}/predict", self._body, headers)
            version, fault = self._read(answer, model)
        except (OSError, EOFError, TimeoutError) as error:
            connection.close()
            fault = f"no answer: {type(error).__name__}"
        self.asked.append(Asked(name, model, sent_at, time.monotonic(), version, fault))

    def _read(self, answer: Answer, model: str) -> tuple[int, str]:
        if answer.status != 200:
            return 0, problem_of(answer)
        body = orjson.loads(answer.body)
        version, told = body["version"], body["outputs"]["y"]
        if body["model"] != model or told != [[self._constants.answer(model, version)]]:
            return 0, f"WRONG: {model} answered {body}"
        return version, ""
