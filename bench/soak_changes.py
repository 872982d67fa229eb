"""What publishers and admins do meanwhile: versions come, are promoted, rolled back and retired."""

import asyncio
import hashlib
import random
import time
from collections.abc import Sequence
from pathlib import Path

import orjson

from bench.http_connection import JSON_BODY, Answer, Connection
from bench.soak_dialects import DIALECTS
from bench.soak_gateway import BYTES, promote, read
from bench.soak_judgement import Judge
from bench.soak_load import Notes, Place
from bench.soak_models import LAYERS, Rows, SoakVersion, answers_of, perceptron
from examples import first_run

MOVE_SECONDS = 0.5
REGISTERING_SECONDS = 3.0
GROWING = "growing"
KEPT = 3
"""How many versions of the growing model stay; the older ones are retired."""
SMALL_LAYERS = (LAYERS[0], 64, LAYERS[-1])


class Mover:
    """Promotes the second version of one model after the other, or rolls that promotion back."""

    def __init__(self, place: Place, models: Sequence[str], notes: Notes) -> None:
        self._connection = Connection(place.port, place.token)
        self._live = dict.fromkeys(models, 1)
        self._notes = notes
        self._turn = 0

    async def act(self) -> None:
        began = time.monotonic()
        model = list(self._live)[self._turn % len(self._live)]
        self._turn += 1
        route = f"/registry/models/{model}/aliases/production"
        if self._live[model] == 1:
            answer = await self._connection.request("PUT", route, b'{"version": 2, "expected": 1}')
        else:
            answer = await self._connection.request("POST", route + "/rollback", b"{}")
        if answer.status == 200:
            self._live[model] = 3 - self._live[model]
            self._notes.done["move"] += 1
        else:
            self._notes.fails(f"move: {answer.status} {answer.body[:300]!r}")
        await asyncio.sleep(MOVE_SECONDS - (time.monotonic() - began))

    async def rest(self) -> None:
        self._connection.close()


class Publisher:
    """Registers a new version of one model, asks it in every dialect, promotes it, and retires the oldest."""

    def __init__(
        self, place: Place, folder: Path, inputs: Sequence[Rows], *, judge: Judge, notes: Notes, choice: random.Random
    ) -> None:
        self._connection = Connection(place.port, place.token)
        self._folder = folder
        self._inputs = inputs
        self._judge = judge
        self._notes = notes
        self._choice = choice

    async def act(self) -> None:
        began = time.monotonic()
        try:
            number = await self._register()
            await promote(self._connection, GROWING, number)
            await self._ask()
            if number > KEPT:
                await self._retire(number - KEPT)
        except first_run.RefusedError as error:
            self._notes.fails(f"publisher: {error}")
        await asyncio.sleep(REGISTERING_SECONDS - (time.monotonic() - began))

    async def rest(self) -> None:
        self._connection.close()

    async def _register(self) -> int:
        content = perceptron(self._choice.getrandbits(62), SMALL_LAYERS)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        answer = await self._upload(content, digest, in_parts=self._choice.random() < 0.5)
        number = read(answer, 201)["version"]
        path = self._folder / f"{GROWING}.onnx"
        path.write_bytes(content)
        answers = await asyncio.to_thread(answers_of, path, self._inputs)
        self._judge.add(SoakVersion(model=GROWING, number=number, path=path, digest=digest, answers=answers))
        read(await self._upload(content, digest, in_parts=False), 200)
        self._notes.done["registration"] += 1
        return number

    async def _upload(self, content: bytes, digest: str, *, in_parts: bool) -> Answer:
        route = f"/registry/models/{GROWING}/versions"
        if not in_parts:
            return await self._connection.request("POST", route, content, BYTES)
        await self._connection.request("PUT", f"/registry/blobs/{digest}", content, BYTES)
        return await self._connection.request("POST", route, orjson.dumps({"files": {"model.onnx": digest}}), JSON_BODY)

    async def _ask(self) -> None:
        """The answers may be of the version before, for a moment."""
        for dialect in DIALECTS:
            index = self._choice.randrange(len(self._inputs))
            rows = self._inputs[index]
            path = dialect.path.format(model=GROWING)
            answer = await self._connection.request("POST", path, dialect.encode(rows), dialect.head(rows))
            fault = self._judge.fault(answer, GROWING, index, dialect)
            if fault is None:
                self._notes.answered[dialect.name] += 1
            else:
                self._notes.fails(f"{dialect.name}: {fault}")

    async def _retire(self, number: int) -> None:
        read(await self._connection.request("DELETE", f"/registry/models/{GROWING}/versions/{number}"), 200)
        self._notes.done["retirement"] += 1
        path = f"/v{number}/models/{GROWING}/predict"
        read(await self._connection.request("POST", path, b'{"inputs": {"x": []}}'), 410)
