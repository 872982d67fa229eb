"""How predict requests come in and how their answers go out: a wire for each dialect, a form for each kind of body.

1. A form only translates: bytes to a ``PredictBody`` that fits the signature, and arrays to bytes. Which version is
   meant, who may ask, what is loaded and where it runs is the same for all of them (``gateway.web.front``).
2. What a form needs to know of a version it has compiled once (``Endpoint.compiled``).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from gateway.codec.body import PredictBody
from gateway.serving.runtime import Array
from gateway.web.endpoint import Endpoint
from gateway.web.problems import Headers

LARGE_BYTES = 32 * 1024
"""A larger body of JSON is decoded in a thread: naming all faults of megabytes takes seconds."""


QUICK_BINARY_BYTES = 1024 * 1024
"""So much of raw tensors is read in the time that a little JSON takes."""


class Written(NamedTuple):
    """The body of an answer."""

    payload: bytes
    content: Headers
    """The headers that say how to read it: content-type and its kin."""


class Form(Protocol):
    """How the body of one request is read, and its answer written."""

    @property
    def quick_bytes(self) -> int:
        """How long a body may be for ``decode_quickly`` to be asked: others wait meanwhile."""
        ...

    def decode_quickly(self, endpoint: Endpoint, body: bytes) -> PredictBody | None:
        """Return what a body says, or None if it takes ``decode`` to tell that, or what is wrong with it."""
        ...

    def decode(self, endpoint: Endpoint, body: bytes) -> PredictBody:
        """Return what a body says; may take long, and may be called in any thread.

        Raises:
            CallerError: it does not fit the version's signature, or cannot be read at all.
        """
        ...

    def encode(self, endpoint: Endpoint, request: PredictBody, arrays: Sequence[Array]) -> Written:
        """Return the answer with these arrays: of the outputs that the request asks for, or of all, in their order.

        Raises:
            OutputNotText: a string is not text that the form can carry.
        """
        ...


class Wire(Protocol):
    """One dialect's predict requests."""

    def form(self, headers: Mapping[bytes, bytes]) -> Form:
        """Return the form of a request with these headers.

        Raises:
            UnsupportedMediaType: its body is of a type that the dialect does not have.
        """
        ...
