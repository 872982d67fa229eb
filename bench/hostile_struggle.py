"""One caller kills what another one uses: the other has to be answered all the same.

1. The attacker sends numbers that kill, others each time, to models that divide: one of 64 bits, one of 32.
2. The user asks the same models, with a token of its own, over a few connections, as fast as answers come.
3. The first deaths take workers along, and their resets are counted apart. From the moment on at which the registry
   says that both versions run in processes of their own, the user's answers count.
"""

import asyncio
import collections
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import orjson

from bench.hostile_judgement import RESET, has_held_out, outcome_of
from bench.http_connection import Connection
from bench.soak_gateway import register
from tests.support import models

SECONDS = 30.0
USERS = 4
LOOK_SECONDS = 0.1
SURVIVED = "survived"
FLOATED_BITS, FLOATED_AT_ONCE = 32, 4
KILLED = frozenset({RESET, "503 model_crashed", "503 model_quarantined", "429 overloaded", SURVIVED})
"""What an attacker may get. More than may wait is told so as everybody is. Integers of 32 bits are divided as floats,
four at a time, where there are four: that kills nobody, and the answer must be right then."""
WIDTHS = {"contested-64": 64, "contested-32": 32}


@dataclass(slots=True)
class Struggle:
    """What has come of it."""

    attacks: collections.Counter[str] = field(default_factory=collections.Counter)
    first: collections.Counter[str] = field(default_factory=collections.Counter)
    """What the user got before both were isolated."""
    answers: collections.Counter[str] = field(default_factory=collections.Counter)
    """What the user got from then on; ``good`` is a right answer."""
    isolated_after: float = float("nan")
    seconds: float = 0.0
    """From then on."""

    @property
    def good(self) -> int:
        return self.answers["good"]

    @property
    def bad(self) -> int:
        return self.answers.total() - self.good

    @property
    def has_held_out(self) -> bool:
        has_attacked = self.attacks.keys() <= KILLED and self.attacks["503 model_crashed"] > 0
        return has_attacked and has_held_out(self.good, self.bad, self.seconds)

    def __str__(self) -> str:
        rate = self.good / self.seconds if self.seconds else 0.0
        share = self.good / self.answers.total() if self.answers else 0.0
        return (
            f"isolated after {self.isolated_after:.1f} s, until then {dict(self.first)}; then {rate:.0f} good "
            f"answers a second, {share:.2%} of all, {dict(self.answers)}; attacks {dict(self.attacks)}"
        )


async def struggle(port: int, tokens: tuple[str, str, str], *, seed: int, seconds: float = SECONDS) -> Struggle:
    """Have them struggle; the tokens are an admin's, the attacker's and the user's."""
    admin, attacker, user = tokens
    choice = random.Random(seed)  # noqa: S311  a load, not a secret
    found = Struggle()
    began = time.monotonic()
    ends_at = began + seconds
    connection = Connection(port, admin)
    for name, bits in WIDTHS.items():
        await register(connection, name, models.division(-1, f"int{bits}").SerializeToString())

    async def attack(asking: Connection) -> None:
        name = choice.choice(list(WIDTHS))
        numbers = [choice.randrange(-1000, 1000) for _ in range(choice.randrange(20))]
        numbers.insert(choice.randrange(len(numbers) + 1), -(2 ** (WIDTHS[name] - 1)))
        outcome, output = await _ask(asking, name, numbers)
        if outcome == "200":
            outcome = _survival(WIDTHS[name], numbers, output)
        found.attacks[outcome] += 1

    async def use(asking: Connection) -> None:
        number = choice.randrange(1, 1000)
        outcome, output = await _ask(asking, choice.choice(list(WIDTHS)), [number])
        if outcome == "200":
            outcome = "good" if output == [-number] else "a wrong answer"
        (found.answers if found.seconds else found.first)[outcome] += 1

    async def watch(asking: Connection) -> None:
        places = [await _isolation(asking, name) for name in WIDTHS]
        if not found.seconds and set(places) == {"isolated"}:
            found.isolated_after = time.monotonic() - began
            found.seconds = ends_at - time.monotonic()
        await asyncio.sleep(LOOK_SECONDS)

    users = (_loop(Connection(port, user), use, ends_at) for _ in range(USERS))
    await asyncio.gather(_loop(Connection(port, attacker), attack, ends_at), _loop(connection, watch, ends_at), *users)
    return found


def _survival(bits: int, numbers: list[int], output: list[int]) -> str:
    may_survive = bits == FLOATED_BITS and len(numbers) >= FLOATED_AT_ONCE
    return SURVIVED if may_survive and output == _quotients(numbers, bits) else "a wrong answer"


def _quotients(numbers: list[int], bits: int) -> list[int]:
    """Return the numbers divided by -1, in arithmetic of so many bits."""
    smallest = -(2 ** (bits - 1))
    return [smallest if number == smallest else -number for number in numbers]


async def _loop(connection: Connection, act: Callable[[Connection], Awaitable[None]], ends_at: float) -> None:
    while time.monotonic() < ends_at:
        await act(connection)
    connection.close()


async def _ask(connection: Connection, name: str, numbers: list[int]) -> tuple[str, list[int]]:
    if connection.is_closed_by_peer:
        connection.close()
    try:
        answer = await connection.request("POST", f"/v1/models/{name}/predict", orjson.dumps({"inputs": numbers}))
    except (OSError, EOFError) as error:
        connection.close()
        return ("no answer" if isinstance(error, TimeoutError) else RESET), []
    output = orjson.loads(answer.body)["outputs"]["y"] if answer.status == 200 else []
    return outcome_of(answer.status, answer.body), output


async def _isolation(connection: Connection, name: str) -> str:
    try:
        answer = await connection.request("GET", f"/registry/models/{name}/versions/1")
    except (OSError, EOFError):  # its worker has just died
        connection.close()
        return RESET
    place = orjson.loads(answer.body).get("isolation", "")
    return str(place)
