"""One seeded sequence of requests by the law of Zipf, asked at a steady pace through the proxy.

1. Which model has which rank, and who is asked for when, follows from the seed alone: whoever serves the sequence gets
   the same one.
2. A request is due at its time. Few callers take turns; who comes late asks at once, so nobody is overrun.
"""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from bench.http_connection import JSON_BODY
from bench.replicas_proxy import PROXY
from bench.replicas_world import World

EXPONENT = 1.0
RATE = 100.0
"""Requests a second."""
CALLERS = 8


@dataclass(slots=True)
class Asked:
    """What one run of the sequence came to."""

    seconds: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    late_seconds: float = 0.0
    """How far behind its time the latest request was sent."""


def sequence_of(models: Sequence[str], *, seed: int, count: int) -> list[str]:
    """Return so many names; the first in an order that the seed gives is the most popular."""
    choice = random.Random(seed)  # noqa: S311  a load, not a secret
    ranked = choice.sample(models, len(models))
    weights = itertools.accumulate((rank + 1) ** -EXPONENT for rank in range(len(ranked)))
    return choice.choices(ranked, cum_weights=list(weights), k=count)


async def ask_all(made: World, names: Sequence[str], body: object) -> Asked:
    """Ask for version 1 of each in turn."""
    asked, waiting, began = Asked(), iter(enumerate(names)), time.perf_counter()
    sent = orjson.dumps(body)

    async def ask() -> None:
        connection = made.connect(PROXY)
        for place, name in waiting:
            wait_seconds = began + place / RATE - time.perf_counter()
            if wait_seconds > 0:
                await asyncio.sleep(wait_seconds)
            asked.late_seconds = max(asked.late_seconds, -wait_seconds)
            at = time.perf_counter()
            try:
                answer = await connection.request("POST", f"/v1/models/{name}/predict", sent, JSON_BODY)
            except (OSError, EOFError, TimeoutError) as error:
                asked.failures[type(error).__name__] += 1
                connection.close()
                continue
            asked.seconds.append(time.perf_counter() - at)
            if answer.status != 200:
                asked.failures[f"{answer.status} {answer.body[:200]!r}"] += 1
        connection.close()

    await asyncio.gather(*(ask() for _ in range(CALLERS)))
    return asked
