"""The hostile requests: rows 1 to 31 of the fault table, and floods of bad tokens, each with what may come of it.

1. A request is said as bytes, or nearly: nothing on the way to the socket makes it any better.
2. It asks for a model of ``request_models``, on a gateway that takes bodies of at most ``MOST_BODY_BYTES``.
3. Outcomes are words as in ``case``, and two more: ``left`` where the client has gone, and ``closed`` where the gateway
   has ended what was never a request.
"""

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from registry.credentials import Credential
from tests.hostile_set.case import ANSWERED, FAILED, KILLED, LATE, NO_MEMORY

MOST_BODY_BYTES: Final = 16 << 20
GOOD_TOKEN: Final = ""
SMALLEST: Final = -(2**63)

TOO_LARGE: Final = ("413 too_large",)
SHAPE: Final = ("422 invalid_shape",)
DTYPE: Final = ("422 invalid_dtype",)
NO_VERSION: Final = ("404 version_not_found",)
NO_TOKEN: Final = ("401 unauthenticated", "429 too_many_attempts")


class Manner(Enum):
    """How a request is sent."""

    AT_ONCE = auto()
    """All of it; then the answer is read."""
    DRIPPING = auto()
    """The beginning of its head, and then a byte a second."""
    STALLING = auto()
    """All of it, though its head has announced more; then nothing."""
    LEAVING = auto()
    """All of it; then the client goes."""


@dataclass(frozen=True)
class RequestCase:
    """A request, how and how often it is sent, and its allowed outcomes."""

    row: int
    name: str
    path: str
    body: Callable[[], bytes]
    outcomes: tuple[str, ...]
    headers: tuple[str, ...] = ()
    kind: str = "application/json"
    host: str = ""
    """Empty for the gateway's own."""
    token: str = GOOD_TOKEN
    is_chunked: bool = False
    """The body is made of chunks already."""
    announced: int | None = None
    """The length in the head, where it is not the body's."""
    manner: Manner = Manner.AT_ONCE
    times: int = 1
    """One after the other."""
    at_once: int = 1
    """So many side by side, each as many times."""


def request_cases() -> list[RequestCase]:
    """Return every case, in the order of the rows."""
    parts = (_bodies(), _transport(), _signatures(), _routes(), _runs())
    return sorted((case for part in parts for case in part), key=lambda case: case.row)


def _case(
    row: int, name: str, model: str, body: object, *outcomes: str, times: int = 1, at_once: int = 1
) -> RequestCase:
    """Return a prediction with these inputs, or this body where it is bytes."""
    content = body if isinstance(body, bytes) else json.dumps({"inputs": body}).encode()
    path = f"/v1/models/{model}/predict"
    return RequestCase(row, name, path, lambda: content, outcomes, times=times, at_once=at_once)


def _bodies() -> Iterator[RequestCase]:
    yield _case(1, "no JSON", "linear", b"nul", "400 invalid_json")
    yield _case(1, "an empty body", "linear", b"", "400 invalid_json")
    yield _case(1, "no UTF-8", "linear", b"\xff{}", "400 invalid_json")
    yield _case(2, "100,000 brackets", "linear", b"[" * 100_000, "400 json_too_deep", times=5)
    yield _case(2, "100,000 objects", "linear", b'{"a":' * 100_000, "400 json_too_deep", times=5)
    digits = b'{"inputs": [%b]}'
    yield _case(3, "5,000 digits", "whole", digits % (b"1" * 5000), "400 invalid_number")
    yield _case(3, "a million digits", "whole", digits % (b"1" * 1_000_000), "400 invalid_number")
    yield _case(4, "a bare NaN", "linear", digits % b"[NaN,0,0,0]", "400 invalid_number")
    yield _case(4, "a bare infinity", "linear", digits % b"[-Infinity,0,0,0]", "400 invalid_number")
    yield _case(4, "a key twice", "linear", b'{"inputs": {"x": [], "x": []}}', "400 duplicate_key")


def _transport() -> Iterator[RequestCase]:
    path = "/v1/models/linear/predict"
    spaces = b" " * 0x10000

    def nothing() -> bytes:
        return b""

    def some() -> bytes:
        return b'{"inputs": [[1, 2,'

    yield RequestCase(5, "a length over the cap", path, nothing, TOO_LARGE, announced=MOST_BODY_BYTES + 1)
    yield RequestCase(5, "a length of 99999999999", path, nothing, TOO_LARGE, announced=99_999_999_999)
    yield RequestCase(
        6,
        "chunks past the cap",
        path,
        lambda: (b"10000\r\n" + spaces + b"\r\n") * (MOST_BODY_BYTES // len(spaces) + 1),
        TOO_LARGE,
        is_chunked=True,
        times=5,
    )
    yield RequestCase(
        7,
        "a million chunks of a byte",
        path,
        lambda: b"1\r\n \r\n" * 1_000_000,
        (*TOO_LARGE, "408 request_timeout"),
        is_chunked=True,
    )
    packed = ("content-encoding: gzip",)
    yield RequestCase(8, "a bomb", path, lambda: gzip.compress(bytes(64 << 20)), TOO_LARGE, packed, times=3)
    yield RequestCase(8, "what says gzip and is not", path, lambda: b"{}", ("400 invalid_json",), packed)
    encoding, media = ("415 unsupported_encoding",), ("415 unsupported_media_type",)
    yield RequestCase(8, "an unknown encoding", path, lambda: b"{}", encoding, ("content-encoding: br",))
    yield RequestCase(8, "another type", path, lambda: b"{}", media, kind="text/plain")
    closed = ("closed", "408 request_timeout")
    yield RequestCase(9, "heads that drip", path, nothing, closed, manner=Manner.DRIPPING, at_once=500)
    late = ("408 request_timeout",)
    yield RequestCase(10, "a body that stalls", path, some, late, announced=1000, manner=Manner.STALLING, at_once=10)
    endless = "/v1/models/endless/predict"
    one = b'{"inputs": [0.5]}'
    yield RequestCase(11, "who leaves a run", endless, lambda: one, ("left",), manner=Manner.LEAVING, at_once=8)
    yield RequestCase(11, "who leaves a body", path, some, ("left",), announced=999, manner=Manner.LEAVING, at_once=20)
    forged = Credential("a" * 12, "A" * 32).reveal()
    for name, token in (("a token that is none", "nonsense"), ("a forged token", forged)):
        yield RequestCase(49, name, path, lambda: one, NO_TOKEN, token=token, times=25, at_once=8)


def _signatures() -> Iterator[RequestCase]:
    yield _case(12, "no input", "linear", {}, "422 missing_input")
    yield _case(12, "an unknown input", "linear", {"x": [[1, 2, 3, 4]], "z": 1}, "422 unknown_input")
    body = b'{"inputs": [[1, 2, 3, 4]], "outputs": ["nope"]}'
    yield _case(12, "an unknown output", "linear", body, "422 unknown_output")
    yield _case(12, "a lone surrogate", "linear", b'{"inputs": {"\\ud800": 1}}', "400 invalid_json")
    yield _case(13, "text for numbers", "linear", [["a", "b", "c", "d"]], *DTYPE)
    yield _case(13, "1.5 for int64", "whole", [1.5], *DTYPE)
    yield _case(13, "300 for uint8", "octet", [300], "422 out_of_range")
    yield _case(13, "2^63", "whole", [2**63], "422 out_of_range")
    yield _case(14, "another rank", "linear", [1, 2, 3, 4], *SHAPE)
    yield _case(14, "another size", "linear", [[1, 2, 3]], *SHAPE)
    yield _case(14, "a ragged list", "linear", [[1, 2, 3, 4], [1]], *SHAPE)
    yield _case(14, "a list for a scalar", "scalar", {"x": [1], "factor": [2]}, *SHAPE)
    yield _case(15, "two sizes of a symbol", "pair", {"a": [1, 2], "b": [1]}, "422 inconsistent_dim")
    yield _case(16, "a shape of 2^40", "linear", {"shape": [2**40, 4], "data": [1, 2, 3]}, *SHAPE)
    yield _case(16, "a shape below zero", "linear", {"shape": [-1, 4], "data": [1, 2, 3, 4]}, *SHAPE)
    rows = b'{"inputs":[%b]}' % b",".join([b"[0,0,0,0]"] * ((1 << 20) + 1))
    yield _case(17, "too many elements", "linear", rows, "413 too_many_elements", times=3)
    yield _case(18, "what is no number", "logarithm", [-1, 0, 1], *ANSWERED)
    yield _case(19, "an output that is no text", "words", [0, 1], "422 model_output_not_text")


def _routes() -> Iterator[RequestCase]:
    body = b'{"inputs": [[1, 2, 3, 4]]}'
    yield _case(20, "an unknown model", "nobody", body, "404 model_not_found", times=50, at_once=4)
    yield RequestCase(20, "an unknown version", "/v99/models/linear/predict", lambda: body, NO_VERSION)
    yield RequestCase(21, "nothing promoted", "/models/linear/predict", lambda: body, ("409 no_active_version",))
    nowhere = ("404 not_found",)
    for path in ("/v1/models/../x/predict", "/v1/models/%2e%2e%2fx/predict", "/v1/models/linear/predict%3Fx"):
        yield RequestCase(22, f"a path {path}", path, lambda: body, nowhere)
    for name in ("%252e", "a%00b", "x" * 300):
        yield _case(22, f"a name {name[:20]}", name, body, "422 invalid_name")
    for number in ("01", "-1", "1e3", "100000000000"):
        path = f"/v{number}/models/linear/predict"
        yield RequestCase(22, f"a version {number}", path, lambda: body, NO_VERSION)
    for host in ("x/abc?", "a b", "[::1"):
        yield RequestCase(
            23, f"a host {host}", "/models/linear/predict", lambda: body, ("400 invalid_host",), host=host
        )


def _runs() -> Iterator[RequestCase]:
    yield _case(24, "out of range", "gather", [99], *FAILED)
    yield _case(24, "1 / 0", "quotient", {"a": [1], "b": [0]}, *FAILED)
    # What else the process takes meanwhile is held against whatever may take any amount.
    yield _case(25, "an endless loop", "endless", [0.5], *LATE, *NO_MEMORY, at_once=3)
    yield _case(26, "one giant kernel", "stuck", 800_000, *LATE, "reset", times=3)
    yield _case(27, "a number that kills", "deadly", [SMALLEST], *KILLED, times=6)
    yield _case(28, "a child that always dies", "hopeless", [SMALLEST], *KILLED[1:], times=40)
    trips = {"x": [0.5] * (1 << 16), "trips": 1 << 40}  # on a busy machine time may be over before memory is
    yield _case(29, "a run that grows", "growing", trips, *NO_MEMORY, *LATE, times=2)
    yield _case(29, "an answer of gigabytes", "expanding", {"x": [1], "shape": [3 << 26]}, *NO_MEMORY, *LATE, times=2)
    yield _case(30, "more than may wait", "slow", [1.5], *ANSWERED, "429 overloaded", at_once=150)
    # Once it is prepared its weights are mapped, and it fits; until then it may not be loaded in time.
    yield _case(
        31, "more than the budget", "huge", [[0.5] * 2048], "503 insufficient_memory", *ANSWERED, *LATE, times=2
    )
