"""Many at once, before anything is read: a pool of threads grows to its size, and to no more.

Pools start a thread when all others are busy. A rare moment late in a run would otherwise look like a leak. What the
crowd gets is counted by its status and not judged: it may be told that it is too large. It comes again until twice no
thread has come with it.
"""

import asyncio
import random
from collections.abc import Callable, Sequence

from bench.http_connection import JSON_BODY, Connection
from bench.servers import HOST
from bench.soak_dialects import NATIVE
from bench.soak_gateway import BYTES
from bench.soak_hostile import ENDLESS
from bench.soak_load import Notes, Place
from bench.soak_models import Rows, SoakVersion, perceptron
from bench.soak_nuisance import head_of

FEWEST_ROUNDS = 3
MOST_ROUNDS = 16
QUIET_ROUNDS = 2
"""So many without a new thread are enough."""
REGISTRATIONS = 8
LISTINGS = 48
STRANGE_NAMES = 24
PROMOTIONS = 16
ENDLESS_RUNS = 12
ENDLESS_SECONDS = 1.0
FETCHES = 6
OVERTAKEN = b'{"version": 1, "expected": 77}'
TINY_LAYERS = (4, 8, 3)
TINY_QUESTION = b'{"inputs": [[0.5, 0.5, 0.5, 0.5]]}'
JSON_HEAD = "content-type: application/json\r\n"


async def crowd(
    place: Place,
    versions: Sequence[SoakVersion],
    rows: Rows,
    *,
    notes: Notes,
    choice: random.Random,
    count_threads: Callable[[], int],
) -> None:
    """Ask for everything at once, until that takes no more threads than before."""

    async def ask(method: str, path: str, body: bytes = b"", *, is_file: bool = False) -> None:
        connection = Connection(place.port, place.token)
        try:
            answer = await connection.request(method, path, body, BYTES if is_file else JSON_BODY)
            notes.done[f"in the crowd {answer.status}"] += 1
        finally:
            connection.close()

    question = NATIVE.encode(rows)
    most = quiet = 0
    for turn in range(MOST_ROUNDS):
        asked = [ask("GET", "/registry/models") for _ in range(LISTINGS)]
        asked += [ask("POST", f"/models/nobody-{turn}-{number}/predict", question) for number in range(STRANGE_NAMES)]
        for version in versions:
            path = f"/v{version.number}/models/{version.model}/predict"
            asked += [ask("POST", path, question) for _ in range(4)]
        for _ in range(REGISTRATIONS):
            content = perceptron(choice.getrandbits(62), TINY_LAYERS)
            asked.append(ask("POST", "/registry/models/crowd/versions", content, is_file=True))
        asked += [ask("PUT", "/registry/models/soak-0/aliases/production", OVERTAKEN) for _ in range(PROMOTIONS)]
        asked += [_begin_for_ever(place) for _ in range(ENDLESS_RUNS)]
        await asyncio.gather(*asked)
        # Half of them were registered by other workers, which have to fetch them now.
        first = 1 + turn * REGISTRATIONS
        paths = [f"/v{number}/models/crowd/predict" for number in range(first, first + REGISTRATIONS)]
        await asyncio.gather(*(ask("POST", path, TINY_QUESTION) for path in paths * FETCHES))
        threads = await asyncio.to_thread(count_threads)
        most, quiet = max(most, threads), quiet + 1 if threads <= most else 0
        if turn + 1 >= FEWEST_ROUNDS and quiet >= QUIET_ROUNDS:
            break


async def _begin_for_ever(place: Place) -> None:
    """Begin an endless run and leave: short ones need no thread."""
    body = b'{"inputs": {"x": [0.5]}}'
    _, writer = await asyncio.open_connection(HOST, place.port)
    try:
        writer.write(head_of(place, f"POST /models/{ENDLESS}/predict", len(body), JSON_HEAD) + body)
        await writer.drain()
        await asyncio.sleep(ENDLESS_SECONDS)
    finally:
        writer.close()
