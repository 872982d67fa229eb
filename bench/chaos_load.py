"""The requests of the chaos, and what of their fate is a failure.

1. A predict is answered, and right, whatever fails. A connection may break if a worker that was killed had it, and for
   no other reason.
2. Whoever asks the control plane may be refused, or wait in vain, while the database is away, and for a moment after.
3. The predictors pause between two requests: the processor has to suffice for the loads of promotions, which have the
   lowest priority.
"""

import asyncio
import collections
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from bench.chaos_answers import Answers, Outages
from bench.http_connection import Answer, Connection
from bench.soak_judgement import Judge
from bench.soak_models import MODEL_COUNT, Rows, SoakVersion

CONNECTION_COUNT = 16
PAUSE_SECONDS = 0.05
"""On average."""
BACK_SECONDS = 5.0
"""How long after its return the database may go on not being reached."""


@dataclass(slots=True)
class Notes:
    """What has happened so far."""

    answered: int = 0
    slowest_seconds: float = 0.0
    failures: dict[str, list[float]] = field(default_factory=lambda: collections.defaultdict(list))
    """When each kind of failure has happened, by a monotonic clock."""
    broken: int = 0
    """Connections that broke because their worker was killed."""
    refused: collections.Counter[str] = field(default_factory=collections.Counter)
    """What the control plane did not do because of an outage, by reason."""
    outages: Outages = field(default_factory=Outages)
    killed: list[int] = field(default_factory=list)
    """Workers, by process id."""
    orphans: set[int] = field(default_factory=set)
    """The ports of the clients that killed workers had."""
    is_ending: bool = False

    def fails(self, what: str) -> None:
        """Take note of a failure, now."""
        self.failures[what].append(time.monotonic())

    def breaks(self, connection: Connection, error: Exception, *, asked_at: float, is_control: bool = False) -> None:
        """Take note of a request without an answer (rules 1 and 2), and close its connection."""
        port = connection.local_port
        connection.close()
        if not isinstance(error, TimeoutError) and port in self.orphans:
            self.broken += 1
        elif isinstance(error, TimeoutError) and is_control and self.excuses(asked_at):
            self.refused["no answer"] += 1
        else:
            self.fails(f"no answer: {type(error).__name__}")

    def refuses(self, answer: Answer, *, asked_at: float) -> None:
        """Take note of what the control plane has not done (rule 2)."""
        if answer.status == 503 and self.excuses(asked_at):
            self.refused[problem_of(answer)] += 1
        else:
            self.fails(f"control plane: {problem_of(answer)}")

    def excuses(self, asked_at: float) -> bool:
        """Tell whether an outage of the database explains what has become of a request."""
        return self.outages.touch(asked_at, time.monotonic(), grace_seconds=BACK_SECONDS)


class Load:
    """Sixteen connections that ask for models and inputs at random, through the alias."""

    def __init__(self, port: int, versions: Sequence[SoakVersion], inputs: Sequence[Rows], notes: Notes) -> None:
        self.answers = {f"soak-{model}": Answers() for model in range(MODEL_COUNT)}
        self._port = port
        self._judge = Judge(versions)
        self._bodies = [orjson.dumps({"inputs": {"x": rows.tolist()}}) for rows in inputs]
        self._notes = notes

    async def run(self, choice: random.Random) -> None:
        """Ask until the end."""
        seeds = [choice.random() for _ in range(CONNECTION_COUNT)]
        await asyncio.gather(*(self._ask_until_the_end(random.Random(seed)) for seed in seeds))  # noqa: S311  a load

    async def _ask_until_the_end(self, choice: random.Random) -> None:
        connection = Connection(self._port)
        while not self._notes.is_ending:
            await self._ask(connection, choice)
            await asyncio.sleep(choice.uniform(0, 2 * PAUSE_SECONDS))
        connection.close()

    async def _ask(self, connection: Connection, choice: random.Random) -> None:
        model, index = choice.choice(list(self.answers)), choice.randrange(len(self._bodies))
        notes, sent_at = self._notes, time.monotonic()
        try:
            answer = await connection.request("POST", f"/models/{model}/predict", self._bodies[index])
        except (OSError, EOFError, TimeoutError) as error:
            notes.breaks(connection, error, asked_at=sent_at)
            return
        received_at = time.monotonic()
        notes.slowest_seconds = max(notes.slowest_seconds, received_at - sent_at)
        fault = self._judge.fault(answer, model, index)
        if fault is None:
            notes.answered += 1
            self.answers[model].add(int(answer.headers["x-model-version"]), sent_at, received_at)
        else:
            notes.fails(f"{model}: {fault if answer.status == 200 else problem_of(answer)}")


def problem_of(answer: Answer) -> str:
    """Return the status, and what is the same in all answers about the same problem."""
    try:
        body = orjson.loads(answer.body)
        return f"{answer.status} {body['code']}: {body['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{answer.status} {answer.body[:200]!r}"
