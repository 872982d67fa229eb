"""Good requests: every model, every dialect, every answer compared."""

import asyncio
import collections
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc.aio

from bench.http_connection import Connection
from bench.servers import HOST
from bench.soak_dialects import DIALECTS, rpc_request, told_by_rpc
from bench.soak_judgement import Judge
from bench.soak_models import Rows
from gateway.rpc.schema import PACKAGE, SERVICE, message_class

PAUSE_SECONDS = 0.05
"""Between two requests of a connection, on average: the children, which have the lowest priority, have to live too."""
RPC_SECONDS = 60


@dataclass(slots=True)
class Notes:
    """What has happened so far."""

    answered: collections.Counter[str] = field(default_factory=collections.Counter)
    """Right answers, by dialect."""
    done: collections.Counter[str] = field(default_factory=collections.Counter)
    """Everything else that went as it should, by what it was."""
    failures: collections.Counter[str] = field(default_factory=collections.Counter)
    slowest_seconds: float = 0.0
    began: float = field(default_factory=time.monotonic)

    def fails(self, what: str) -> None:
        """Take note of a failure, and print the first of its kind: whoever watches wants to look at once."""
        what = what[:400]
        self.failures[what] += 1
        if self.failures[what] == 1:
            print(f"{time.monotonic() - self.began:7.1f} s  {what}", flush=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the gateway is, and who asks."""

    port: int
    rpc_port: int
    token: str


class Actor(Protocol):
    """Somebody who does one thing after the other; between two phases it holds no connection."""

    async def act(self) -> None: ...

    async def rest(self) -> None: ...


async def act_until(ends_at: float, actors: Iterable[Actor], notes: Notes) -> None:
    """Have all act until then; each finishes what it has begun."""

    async def act(actor: Actor) -> None:
        while time.monotonic() < ends_at:
            try:
                await actor.act()
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                notes.fails(f"{type(actor).__name__}: {type(error).__name__} {error}"[:200])
                await actor.rest()
        await actor.rest()

    await asyncio.gather(*map(act, actors))


class HttpCaller:
    """One connection; each time a model, an input and a dialect at random."""

    def __init__(
        self,
        place: Place,
        models: Sequence[str],
        inputs: Sequence[Rows],
        *,
        judge: Judge,
        notes: Notes,
        choice: random.Random,
    ) -> None:
        self._connection = Connection(place.port, place.token)
        self._models = models
        self._inputs = inputs
        self._judge = judge
        self._notes = notes
        self._choice = choice

    async def act(self) -> None:
        model, index = self._choice.choice(self._models), self._choice.randrange(len(self._inputs))
        dialect = self._choice.choice(DIALECTS)
        rows = self._inputs[index]
        began = time.monotonic()
        path = dialect.path.format(model=model)
        answer = await self._connection.request("POST", path, dialect.encode(rows), dialect.head(rows))
        fault = self._judge.fault(answer, model, index, dialect)
        _note(self._notes, dialect.name, fault, time.monotonic() - began)
        await asyncio.sleep(self._choice.uniform(0, 2 * PAUSE_SECONDS))

    async def rest(self) -> None:
        self._connection.close()


class RpcCaller:
    """The same over gRPC."""

    def __init__(
        self,
        place: Place,
        models: Sequence[str],
        inputs: Sequence[Rows],
        *,
        judge: Judge,
        notes: Notes,
        choice: random.Random,
    ) -> None:
        self._place = place
        self._channel: Any = None
        self._models = models
        self._inputs = inputs
        self._judge = judge
        self._notes = notes
        self._choice = choice

    async def act(self) -> None:
        model, index = self._choice.choice(self._models), self._choice.randrange(len(self._inputs))
        began = time.monotonic()
        if self._channel is None:
            self._channel = rpc_channel(self._place)
        try:
            call = infer(self._channel, self._place, rpc_request(model, self._inputs[index]), seconds=RPC_SECONDS)
            answer = await call
            trailing = {str(name): str(value) for name, value in await call.trailing_metadata()}
            fault = self._judge.fault_in(told_by_rpc(answer, trailing), model, index)
        except grpc.aio.AioRpcError as error:
            fault = f"{error.code().name} {error.details()}"
        except ValueError as error:
            fault = f"unreadable: {error}"
        _note(self._notes, "gRPC", fault, time.monotonic() - began)
        await asyncio.sleep(self._choice.uniform(0, 2 * PAUSE_SECONDS))

    async def rest(self) -> None:
        if self._channel is not None:
            await self._channel.close()
            self._channel = None


def rpc_channel(place: Place) -> Any:
    """Open a connection that no other channel shares."""
    return grpc.aio.insecure_channel(
        f"{HOST}:{place.rpc_port}", [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    )


def infer(channel: Any, place: Place, request: Any, *, seconds: float) -> Any:
    """Begin a call of ModelInfer."""
    method = channel.unary_unary(
        f"/{PACKAGE}.{SERVICE}/ModelInfer",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=message_class("ModelInferResponse").FromString,
    )
    return method(request, timeout=seconds, metadata=(("authorization", f"Bearer {place.token}"),))


def _note(notes: Notes, dialect: str, fault: str | None, seconds: float) -> None:
    notes.slowest_seconds = max(notes.slowest_seconds, seconds)
    if fault is None:
        notes.answered[dialect] += 1
    else:
        notes.fails(f"{dialect}: {fault}"[:400])
