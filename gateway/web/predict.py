"""The predict routes: body bytes -> version -> decode and check -> session -> run -> encode -> bytes.

1. Everything about the request is checked before a session is asked for: a bad request never makes a cold model load.
2. What can be decided without waiting is: a resident model with short runs is answered within one step of the loop.
3. A caller that has gone takes its run with it.
"""

import asyncio
from collections.abc import Coroutine, Hashable, Sequence
from functools import partial
from typing import Any

import numpy as np

from gateway.codec.body import PredictBody
from gateway.phases import Moments
from gateway.serving.runtime import Array
from gateway.web.compression import MOST_BYTES_AT_ONCE, coding_of, compress
from gateway.web.endpoint import Endpoint
from gateway.web.limits import ClientGone, Receive, read_body
from gateway.web.paths import Target
from gateway.web.services import Services
from gateway.web.wire import Form, Written
from registry.errors import Overloaded
from registry.values import hold_many

SLOW_BYTES = 2 * 1024
"""A longer body that the quick parses refuse is decoded in a thread: naming its faults takes milliseconds."""

_MANY_TEXTS = 4096
"""So many texts are written in about a millisecond."""

_MAX_DECODING_BYTES = 256 * 1024 * 1024
"""How much may wait for that thread, or be in it: every body is held whole meanwhile."""


class PredictRoutes:
    """Answers predict and validate requests for any version."""

    def __init__(self, services: Services) -> None:
        self._routing = services.routing
        self._predictor = services.predictor
        self._limit_bytes = services.settings.max_body_bytes
        self._timeout_seconds = services.settings.predict_timeout_seconds
        self._decoding = services.decoding
        self._decoding_bytes = 0

    def find(self, target: Target, headers: dict[bytes, bytes]) -> Endpoint | None:
        """Return the endpoint that this worker knows of, or None."""
        return self._routing.find(target.reference, headers.get(b"x-routing-key"))

    async def resolve(self, target: Target, headers: dict[bytes, bytes]) -> Endpoint:
        """Ask the registry which endpoint is meant.

        Raises:
            NotFound, Conflict: there is none.
            RegistryUnavailable, RegistryBusy.
        """
        return await self._routing.resolve(target.reference, headers.get(b"x-routing-key"))

    async def read(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """Return the body.

        Raises:
            CallerError: it is too large, or in an encoding that cannot be read.
            ClientGone: the caller left.
        """
        return await read_body(
            receive,
            limit_bytes=self._limit_bytes,
            content_length=headers.get(b"content-length"),
            content_encoding=headers.get(b"content-encoding"),
        )

    async def decode(self, form: Form, endpoint: Endpoint, body: bytes) -> PredictBody:
        """Return what the body says.

        Raises:
            CallerError: it does not fit the version's signature.
            Overloaded: too many large bodies are being decoded.
        """
        if len(body) <= form.quick_bytes:
            decoded = form.decode_quickly(endpoint, body)
            if decoded is not None:
                return decoded
            if len(body) <= SLOW_BYTES:
                return form.decode(endpoint, body)
        if self._decoding_bytes + len(body) > _MAX_DECODING_BYTES:
            raise Overloaded("too many large bodies are being decoded already", retry_after_seconds=1)
        self._decoding_bytes += len(body)
        decoding = asyncio.get_running_loop().run_in_executor(self._decoding, form.decode, endpoint, body)
        decoding.add_done_callback(partial(self._decoded, len(body)))  # even where the caller is gone long since
        return await decoding

    def _decoded(self, size_bytes: int, _decoding: object) -> None:
        self._decoding_bytes -= size_bytes

    def deadline(self, started: float) -> float:
        """Return the moment by which a request that arrived at ``started`` is to be answered."""
        return started + self._timeout_seconds

    def try_now(
        self, endpoint: Endpoint, request: PredictBody, deadline: float, moments: Moments
    ) -> list[Array] | None:
        """Return the answer's arrays if nothing has to be waited for, else None; note when the run was.

        Raises:
            RunFailed, OutputNotText, DeadlinePassed.
        """
        arrays = self._predictor.try_predict_now(endpoint.version, request.feed, request.outputs, deadline)
        if arrays is None:
            return None
        moments.run_began, moments.run_ended = self._predictor.ran
        return _offered(endpoint, request, arrays)

    async def wait(
        self,
        endpoint: Endpoint,
        request: PredictBody,
        receive: Receive,
        deadline: float,
        *,
        caller: Hashable,
        moments: Moments,
    ) -> list[Array]:
        """Return the answer's arrays when the version is loaded and has run, as ``run``.

        Raises:
            ServiceError: of the family Busy, or as ``try_now``.
            ClientGone: the caller left.
        """
        running = self.run(endpoint, request, deadline, caller=caller, moments=moments)
        return await _until_gone(receive, running)

    async def run(
        self, endpoint: Endpoint, request: PredictBody, deadline: float, *, caller: Hashable, moments: Moments
    ) -> list[Array]:
        """Return the answer's arrays when the version is loaded and has run; who cancels this takes the run along.

        Args:
            endpoint: of the version.
            request: what is asked.
            deadline: a moment of the monotonic clock.
            caller: whoever asks; where runs are made one by one, callers take turns.
            moments: where it is noted when what has happened.

        Raises:
            ServiceError: of the family Busy, or as ``try_now``.
        """
        arrays = await self._predictor.predict(
            endpoint.version, request.feed, request.outputs, deadline=deadline, caller=caller, moments=moments
        )
        return _offered(endpoint, request, arrays)

    async def encode(self, form: Form, endpoint: Endpoint, request: PredictBody, arrays: list[Array]) -> Written:
        """Return the answer, written in a thread where all others would notice how long that takes.

        Raises:
            OutputNotText: a string is not text that the form can carry.
        """
        if not (hold_many(arrays) or takes_long_to_write(arrays)):
            return form.encode(endpoint, request, arrays)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._decoding, form.encode, endpoint, request, arrays)

    async def compress(self, written: Written, headers: dict[bytes, bytes]) -> Written:
        """Return an answer as a request with these headers wants it."""
        coding = coding_of(headers.get(b"accept-encoding"))
        if coding is None:
            return written
        if len(written.payload) <= MOST_BYTES_AT_ONCE:
            compressed = compress(coding, written.payload)
        else:
            loop = asyncio.get_running_loop()
            compressed = await loop.run_in_executor(self._decoding, compress, coding, written.payload)
        return written if compressed is None else Written(compressed, [*written.content, coding.header])


def takes_long_to_write(arrays: Sequence[object]) -> bool:
    """Return whether others should not wait until these are written: texts are, one by one."""
    texts = [array for array in arrays if isinstance(array, np.ndarray) and array.dtype.kind in "OSU"]
    return sum(array.size for array in texts) > _MANY_TEXTS


def _offered(endpoint: Endpoint, request: PredictBody, arrays: list[Array]) -> list[Array]:
    if endpoint.tap is not None:  # when the answer is on its way
        asyncio.get_running_loop().call_soon(endpoint.tap.offer, request.feed, request.outputs, arrays)
    return arrays


async def _until_gone(receive: Receive, work: Coroutine[Any, Any, list[Array]]) -> list[Array]:
    """Return what the work returns, unless the client leaves first."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        leaving.cancel()
        working.cancel()


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
