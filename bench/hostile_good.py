"""Good traffic at a fixed rate, from a process of its own: what attackers cost this one must not look like latency.

1. Requests leave when they are due (Poisson), on keep-alive connections, and count from that moment.
2. Every answer is compared bit for bit with what the runtime makes of the same input in this process.
3. Times are the clock's, so that they can be held beside those of the gateway's log.
"""

import asyncio
import multiprocessing
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe

import numpy as np
import onnxruntime
import orjson

from bench.hostile_judgement import RESET, Asked, outcome_of
from bench.http_connection import Connection
from tests.support import models

MODEL_COUNT = 6
INPUT_COUNT = 8
FEATURES = 64
CONNECTIONS = 16
DRAINING_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Question:
    """A request, and the float32 output that is right."""

    path: str
    body: bytes
    output: bytes


def good_models() -> dict[str, bytes]:
    """Return the models by name."""
    return {
        f"good-{seed}": models.linear(FEATURES, 8, seed=seed).SerializeToString(deterministic=True)
        for seed in range(MODEL_COUNT)
    }


def questions() -> list[Question]:
    """Return some for each model, of one to four rows."""
    random_rows = np.random.default_rng(11)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    made = []
    for name, content in good_models().items():
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        for index in range(INPUT_COUNT):
            rows = random_rows.standard_normal((1 + index % 4, FEATURES), np.float32)
            body = orjson.dumps({"inputs": rows}, option=orjson.OPT_SERIALIZE_NUMPY)
            made.append(Question(f"/models/{name}/predict", body, session.run(None, {"x": rows})[0].tobytes()))
    return made


class GoodTraffic:
    """Asks until it is told to end.

    Args:
        port: of the gateway.
        token: of whoever asks.
        rate: requests a second.
        seed: of the moments and of the questions.
    """

    def __init__(self, port: int, token: str, rate: float, *, seed: int) -> None:
        self._questions = questions()
        self._rate = rate
        self._choice = random.Random(seed)  # noqa: S311  a load, not a secret
        self._free: asyncio.Queue[Connection] = asyncio.Queue()
        for _ in range(CONNECTIONS):
            self._free.put_nowait(Connection(port, token))
        self._asked: list[Asked] = []

    async def run(self, pipe: Pipe) -> Sequence[Asked]:
        """Ask, until something comes through the pipe; return all that was asked."""
        under_way: set[asyncio.Task[None]] = set()
        due = time.time()
        while not pipe.poll():
            due += self._choice.expovariate(self._rate)
            await asyncio.sleep(due - time.time())
            task = asyncio.create_task(self._ask(due, self._choice.choice(self._questions)))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        if under_way:
            await asyncio.wait(under_way, timeout=DRAINING_SECONDS)
        while not self._free.empty():
            self._free.get_nowait().close()
        return self._asked

    async def _ask(self, due: float, question: Question) -> None:
        connection = await self._free.get()
        if connection.is_closed_by_peer:
            connection.close()
        began = time.time()
        try:
            fault = await _fault(connection, question)
        except (OSError, EOFError) as error:
            connection.close()
            fault = "timeout" if isinstance(error, TimeoutError) else RESET
        finally:
            self._free.put_nowait(connection)
        now = time.time()
        self._asked.append(Asked(began, now, now - due, fault))


async def _fault(connection: Connection, question: Question) -> str:
    answer = await connection.request("POST", question.path, question.body)
    if answer.status != 200:
        return outcome_of(answer.status, answer.body)
    output = np.array(orjson.loads(answer.body)["outputs"]["y"], np.float32).tobytes()
    return "" if output == question.output else f"other bits for {question.path}"


def _main(pipe: Pipe, port: int, token: str, rate: float, seed: int) -> None:
    pipe.send(asyncio.run(GoodTraffic(port, token, rate, seed=seed).run(pipe)))


class GoodProcess:
    """The process, as whoever started it sees it."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self.asked: Sequence[Asked] = ()

    def end(self) -> None:
        """Have it end, and take all that was asked."""
        self._pipe.send("end")
        self.asked = self._pipe.recv()


@contextmanager
def good_traffic(port: int, token: str, rate: float, *, seed: int) -> Iterator[GoodProcess]:
    """Have a process ask as long as the block takes, unless it is ended before."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_main, args=(theirs, port, token, rate, seed), daemon=True)
    process.start()
    try:
        yield GoodProcess(ours)
    finally:
        process.join(1)
        process.kill()
        process.join()
