"""Models that harm whoever runs them, and somebody who does.

1. An endless loop: its caller waits for the gateway's time limit, or has one of its own (gRPC), or leaves.
2. An integer division that kills its process for one number. It is isolated from the start, so that it kills nobody
   else; other numbers are answered in between, always.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import grpc
import numpy as np
import orjson
from onnx import ModelProto, helper

from bench.http_connection import JSON_BODY, Connection
from bench.servers import HOST
from bench.soak_gateway import promote, read, register
from bench.soak_load import Notes, Place, infer, rpc_channel
from bench.soak_nuisance import ask_raw, compare, head_of
from gateway.rpc.schema import message_class
from tests.support import models

PREDICT_SECONDS = 15
"""What the gateway is told: short of the 30 that it takes by itself, and enough for a load on a busy machine."""
PATIENCE_SECONDS = 0.5
PAUSE_SECONDS = 5.0
ENDLESS, DIVIDING, DEADLY = "endless", "dividing", "deadly"
SMALLEST = -(2**63)


def divided_by_itself() -> ModelProto:
    """Int64 x [batch] -> y, which is an error of the runtime's, and no more, where an x is 0."""
    node = helper.make_node("Div", ["x", "x"], ["y"])
    return models.model([node], [models.value("x", "int64")], [models.value("y", "int64")])


async def register_hostile(place: Place, *, has_killers: bool) -> None:
    """Register and promote the models.

    Raises:
        RefusedError: one is refused.
    """
    connection = Connection(place.port, place.token)
    try:
        for name, model in ((ENDLESS, models.loop()), (DIVIDING, divided_by_itself())):
            await promote(connection, name, await register(connection, name, model.SerializeToString()))
        if has_killers:
            number = await register(connection, DEADLY, models.division(-1).SerializeToString())
            path = f"/registry/models/{DEADLY}/versions/{number}"
            read(await connection.request("PATCH", path, b'{"isolation": "isolated"}', JSON_BODY), 200)
            await promote(connection, DEADLY, number)
    finally:
        connection.close()


class Villain:
    """Does one such thing after the other."""

    def __init__(self, place: Place, notes: Notes, choice: random.Random, *, has_killers: bool) -> None:
        self._place = place
        self._notes = notes
        self._choice = choice
        self._has_killers = has_killers

    async def act(self) -> None:
        acts: Sequence[Callable[[], Awaitable[None]]] = (
            self._wait_for_ever,
            *[self._set_a_limit] * 4,
            *[self._leave] * 4,
            *[self._kill] * (4 if self._has_killers else 0),
        )
        await self._choice.choice(acts)()
        await asyncio.sleep(self._choice.uniform(0, 2 * PAUSE_SECONDS))

    async def rest(self) -> None:
        """Nothing is held between two acts."""

    async def _wait_for_ever(self) -> None:
        answer = await ask_raw(self._place.port, self._request(ENDLESS, b'{"inputs": {"x": [0.5]}}'))
        compare(self._notes, "an endless loop", answer, 504, "predict_timeout")

    async def _set_a_limit(self) -> None:
        request = message_class("ModelInferRequest")(model_name=ENDLESS)
        request.inputs.add(name="x", datatype="FP32", shape=[1])
        request.raw_input_contents.append(np.zeros(1, np.float32).tobytes())
        channel = rpc_channel(self._place)
        try:
            await infer(channel, self._place, request, seconds=PATIENCE_SECONDS)
        except grpc.aio.AioRpcError as error:
            self._note("a limit of its own", error.code().name, "DEADLINE_EXCEEDED")
        else:
            self._notes.fails("an endless loop has ended")
        finally:
            await channel.close()

    async def _leave(self) -> None:
        _, writer = await asyncio.open_connection(HOST, self._place.port)
        try:
            writer.write(self._request(ENDLESS, b'{"inputs": {"x": [0.5]}}'))
            await writer.drain()
            await asyncio.sleep(PATIENCE_SECONDS)
        finally:
            writer.close()
        self._notes.done["left an endless loop"] += 1

    async def _kill(self) -> None:
        body = orjson.dumps({"inputs": {"x": [SMALLEST, self._choice.randrange(1000)]}})
        answer = await ask_raw(self._place.port, self._request(DEADLY, body))
        compare(self._notes, "a number that kills", answer, 503, "model_crashed")
        number = self._choice.randrange(1000)
        body = orjson.dumps({"inputs": {"x": [number]}})
        answer = await ask_raw(self._place.port, self._request(DEADLY, body))
        told = (
            orjson.loads(answer.body).get("outputs")
            if answer.status == 200
            else f"{answer.status} {answer.body[:300]!r}"
        )
        self._note("a number that does not kill", str(told), str({"y": [-number]}))

    def _request(self, model: str, body: bytes) -> bytes:
        return (
            head_of(self._place, f"POST /models/{model}/predict", len(body), "content-type: application/json\r\n")
            + body
        )

    def _note(self, what: str, told: str, expected: str) -> None:
        if told == expected:
            self._notes.done[what] += 1
        else:
            self._notes.fails(f"{what}: {told} instead of {expected}")
