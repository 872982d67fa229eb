"""ModelInfer and ModelStreamInfer: the same steps as a predict request over HTTP takes.

1. The requests of a stream are answered one after the other. An error is an answer like any other: the stream goes on.
2. When the worker is to end, a stream ends as soon as the request that it is at has been answered.
"""

import asyncio
from collections.abc import Coroutine
from time import monotonic
from typing import Any, Final

from grpc import StatusCode  # type: ignore[import-untyped]  # it ships no types
from grpc.aio import EOF, ServicerContext  # type: ignore[import-untyped]  # as above

from gateway.rpc.calls import Calls
from gateway.rpc.infer_form import InferForm
from gateway.rpc.outline import Outline, read_outline, write_varint
from gateway.rpc.schema import message_class
from gateway.rpc.statuses import message_of
from gateway.serving.runtime import Array
from gateway.web.exchange import Exchange
from gateway.web.paths import Dialect, Target, read_version
from gateway.web.predict import PredictRoutes
from gateway.web.services import Services
from registry.errors import DeadlinePassed, InvalidRequest
from registry.roles import Role

_STREAM_RESPONSE: Final = message_class("ModelStreamInferResponse")
_INFER_RESPONSE: Final = b"\x12"
"""How ``infer_response`` begins in an answer of a stream: the field's number and that it is counted."""
_INFER: Final = "ModelInfer"
_STREAM_INFER: Final = "ModelStreamInfer"


class Inference:
    """Answers infer requests for any version.

    Args:
        services: what it works with.
        calls: receives them.
    """

    def __init__(self, services: Services, calls: Calls) -> None:
        self._calls = calls
        self._predict = PredictRoutes(services)
        self._ending = asyncio.Event()

    def end_streams(self) -> None:
        """End every stream with its next answer, or at once if it waits for its caller."""
        self._ending.set()

    async def infer(self, message: bytes, context: ServicerContext) -> bytes:
        """Answer a call whose caller is known, so that its message has been read."""
        exchange = self._calls.begin(_INFER, context.invocation_metadata())

        async def work(exchange: Exchange) -> bytes:
            await self._calls.admit(exchange, context)
            return await self._answer(exchange, read_outline(message), message, context)

        return await self._calls.answer(exchange, context, work)

    async def infer_unread(self, _: object, context: ServicerContext) -> bytes:
        """Answer a call whose message is read once it is known who sends it."""
        exchange = self._calls.begin(_INFER, context.invocation_metadata())

        async def work(exchange: Exchange) -> bytes:
            await self._calls.admit(exchange, context)
            message = await context.read()
            if message is EOF:
                raise InvalidRequest("the call brings no message")
            return await self._answer(exchange, read_outline(message), message, context)

        return await self._calls.answer(exchange, context, work)

    async def stream(self, _: object, context: ServicerContext) -> None:
        """Answer the requests of a stream, in their order."""
        opening = self._calls.begin(_STREAM_INFER, context.invocation_metadata())

        async def admit(exchange: Exchange) -> bytes:
            await self._calls.admit(exchange, context)
            return b""

        await self._calls.answer(opening, context, admit)
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            while not self._ending.is_set():
                reading = asyncio.ensure_future(context.read())
                await asyncio.wait((reading, ending), return_when=asyncio.FIRST_COMPLETED)
                if not reading.done():
                    reading.cancel()
                    break
                message = reading.result()
                if message is EOF:
                    return
                await context.write(await self._answer_in_stream(message, context))
        finally:
            ending.cancel()
        await context.abort(StatusCode.UNAVAILABLE, "the gateway's worker is ending: open the stream anew")

    async def _answer_in_stream(self, message: bytes, context: ServicerContext) -> bytes:
        exchange = self._calls.begin(_STREAM_INFER, context.invocation_metadata())
        outline: Outline | None = None
        try:
            await self._calls.admit(exchange, context)
            outline = read_outline(message)
            payload = await self._answer(exchange, outline, message, context)
            return b"".join((_INFER_RESPONSE, write_varint(len(payload)), payload))
        except asyncio.CancelledError:
            exchange.give_up()
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
            refusal = self._calls.refuse(exchange, error)
            answer = _STREAM_RESPONSE(error_message=message_of(refusal))
            answer.infer_response.id = "" if outline is None else outline.id
            return bytes(answer.SerializeToString())
        finally:
            self._calls.reception.record(exchange)

    async def _answer(self, exchange: Exchange, outline: Outline, message: bytes, context: ServicerContext) -> bytes:
        reference = read_version(outline.model_name, outline.model_version or None)
        target = exchange.target = Target(reference, dialect=Dialect.OPEN_INFERENCE)
        self._calls.reception.require(exchange, Role.PREDICT, reference.model)
        predict, form = self._predict, InferForm(outline)
        endpoint = exchange.endpoint = predict.find(target, exchange.headers) or await predict.resolve(
            target, exchange.headers
        )
        moments = exchange.moments
        moments.decode_began = monotonic()
        request = await predict.decode(form, endpoint, message)
        moments.decode_ended = monotonic()
        deadline = predict.deadline(exchange.started)
        arrays = predict.try_now(endpoint, request, deadline, moments)
        if arrays is None:
            caller = exchange.asker({"client": context.peer()})
            running = predict.run(endpoint, request, deadline, caller=caller, moments=moments)
            arrays = await _within(context.time_remaining(), running)
        moments.encode_began = monotonic()
        return (await predict.encode(form, endpoint, request, arrays)).payload


async def _within(seconds: float | None, running: Coroutine[Any, Any, list[Array]]) -> list[Array]:
    """Return what a run gives, unless its caller's own time is over before.

    The run is not held against that time, since what does not end in time ends its process: a caller in a hurry must
    not be able to have that done to a model that merely takes longer.
    """
    try:
        async with asyncio.timeout(seconds):
            return await running
    except TimeoutError:
        raise DeadlinePassed("the caller's own time was over before the run was") from None
