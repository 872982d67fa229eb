"""Bad requests of many kinds, each with the answer that it has to get: a stranger, again and again.

Every request has a connection of its own. What it gets is compared by status and code; where nothing can be answered,
because the client has gone, there is nothing to compare.
"""

import asyncio
import gzip
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import orjson

from bench.http_connection import Answer, read_answer
from bench.servers import HOST
from bench.soak_load import Notes, Place
from tests.support.hostile_files import FOREIGN, REFUSED

MOST_BODY_BYTES = 1 << 20
MOST_UPLOAD_BYTES = 32 << 20
"""What the gateway is told to take; a case below is just above."""
PAUSE_SECONDS = 0.3
ANSWER_SECONDS = 90
HEAD_SECONDS, BODY_SECONDS = 20, 45
"""When a head that drips and a body that stalls have been given up, at the latest: 10 s and 30 s are promised."""
BYTES = "application/octet-stream"
JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A request, and what it has to get."""

    line: str
    body: bytes = b""
    kind: str = JSON
    more: str = ""
    """Header lines, each with its end."""
    status: int
    code: str


def _predict(body: bytes, status: int, code: str, *, more: str = "") -> Bad:
    return Bad(line="POST /models/soak-0/predict", body=body, more=more, status=status, code=code)


def _path(path: str, status: int, code: str) -> Bad:
    return Bad(line=f"POST {path}", body=b'{"inputs": {"x": []}}', status=status, code=code)


REQUESTS = {
    "no JSON": _predict(b"{", 400, "invalid_json"),
    "deep JSON": _predict(b"[" * 100_000, 400, "json_too_deep"),
    "a long number": _predict(b'{"inputs": {"x": [[' + b"1" * 5000 + b"]]}}", 400, "invalid_number"),
    "a key twice": _predict(b'{"inputs": {"x": [], "x": []}}', 400, "duplicate_key"),
    "a missing input": _predict(b'{"inputs": {}}', 422, "missing_input"),
    "a wrong shape": _predict(b'{"inputs": {"x": [[1.0]]}}', 422, "invalid_shape"),
    "a wrong type": _predict(b'{"inputs": {"x": [[%b]]}}' % b",".join([b'"a"'] * 256), 422, "invalid_dtype"),
    "a bomb": _predict(gzip.compress(bytes(64 << 20)), 413, "too_large", more="content-encoding: gzip\r\n"),
    "an unknown encoding": _predict(b"{}", 415, "unsupported_encoding", more="content-encoding: br\r\n"),
    "an unknown model": _path("/models/nobody/predict", 404, "model_not_found"),
    "an unknown version": _path("/v99/models/soak-0/predict", 404, "version_not_found"),
    "a name that is none": _path("/models/a%00b/predict", 422, "invalid_name"),
    "a digest that differs": Bad(
        line=f"POST /registry/models/refused/versions?sha256={'0' * 64}",
        body=bytes(1000),
        kind=BYTES,
        status=422,
        code="digest_mismatch",
    ),
    "an overtaken move": Bad(
        line="PUT /registry/models/soak-0/aliases/production",
        body=b'{"version": 1, "expected": 77}',
        status=409,
        code="generation_conflict",
    ),
    "an integer divided by zero": Bad(
        line="POST /models/dividing/predict",
        body=b'{"inputs": {"x": [1, 0]}}',
        status=422,
        code="model_execution_failed",
    ),
}


class Stranger:
    """Sends one thing after the other that cannot be right."""

    def __init__(self, place: Place, notes: Notes, choice: random.Random) -> None:
        self._place = place
        self._notes = notes
        self._choice = choice
        self._files: dict[str, tuple[bytes, str]] = {}

    async def act(self) -> None:
        acts: Sequence[Callable[[], Awaitable[None]]] = (
            *[self._send_bad] * 6,
            *[self._upload_bad] * 2,
            self._come_without_a_token,
            self._announce_too_much,
            self._send_too_many_chunks,
            self._announce_too_long_a_file,
            self._leave_early,
            self._cut_an_upload,
        )
        await self._choice.choice(acts)()
        await asyncio.sleep(self._choice.uniform(0, 2 * PAUSE_SECONDS))

    async def rest(self) -> None:
        """Nothing is held between two acts."""

    async def _send_bad(self) -> None:
        name = self._choice.choice(list(REQUESTS))
        bad = REQUESTS[name]
        answer = await self._ask(self._head(bad.line, len(bad.body), bad.kind, bad.more) + bad.body)
        self._compare(name, answer, bad.status, bad.code)

    async def _upload_bad(self) -> None:
        cases = REFUSED | FOREIGN
        name = self._choice.choice(list(cases))
        if name not in self._files:
            self._files[name] = await asyncio.to_thread(cases[name].octets), cases[name].code
        content, code = self._files[name]
        answer = await self._ask(self._head("POST /registry/models/refused/versions", len(content), BYTES) + content)
        self._compare("a bad file", answer, 415 if name in FOREIGN else 422, code)

    async def _come_without_a_token(self) -> None:
        token = self._choice.choice(("", "authorization: Bearer nonsense\r\n"))
        line = f"POST /models/soak-0/predict HTTP/1.1\r\nhost: {HOST}\r\n{token}content-length: 2\r\n\r\n"
        self._compare("no good token", await self._ask(line.encode() + b"{}"), 401, "unauthenticated")

    async def _announce_too_much(self) -> None:
        answer = await self._ask(self._head("POST /models/soak-0/predict", MOST_BODY_BYTES + 1, JSON))
        self._compare("too long a body", answer, 413, "too_large")

    async def _send_too_many_chunks(self) -> None:
        head = self._head("POST /models/soak-0/predict", None, JSON)
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        answer = await self._ask(head + chunk * (MOST_BODY_BYTES // 0x10000 + 1))
        self._compare("too many chunks", answer, 413, "too_large")

    async def _announce_too_long_a_file(self) -> None:
        answer = await self._ask(self._head("POST /registry/models/refused/versions", MOST_UPLOAD_BYTES + 1, BYTES))
        self._compare("too long a file", answer, 413, "too_large")

    async def _leave_early(self) -> None:
        """Amid the head, or amid the body."""
        head = self._head("POST /models/soak-0/predict", 1000, JSON)
        await self._leave_after((head + bytes(999))[: self._choice.randrange(1, len(head) + 999)])

    async def _cut_an_upload(self) -> None:
        size = 8 << 20
        await self._leave_after(
            self._head("POST /registry/models/refused/versions", size, BYTES) + bytes(size * 99 // 100)
        )

    async def _leave_after(self, octets: bytes) -> None:
        async with asyncio.timeout(ANSWER_SECONDS):
            _, writer = await asyncio.open_connection(HOST, self._place.port)
            try:
                writer.write(octets)
                await writer.drain()
            finally:
                writer.transport.abort() if self._choice.random() < 0.5 else writer.close()
        self._notes.done["left early"] += 1

    async def _ask(self, octets: bytes) -> Answer:
        return await ask_raw(self._place.port, octets)

    def _head(self, line: str, length: int | None, kind: str, more: str = "") -> bytes:
        return head_of(self._place, line, length, f"content-type: {kind}\r\n{more}")

    def _compare(self, what: str, answer: Answer, status: int, code: str) -> None:
        compare(self._notes, what, answer, status, code)


class Dawdler:
    """A client that is too slow: with its head, or with its body."""

    def __init__(self, place: Place, notes: Notes, choice: random.Random) -> None:
        self._place = place
        self._notes = notes
        self._choice = choice

    async def act(self) -> None:
        head = head_of(self._place, "POST /models/soak-0/predict", 1000, "")
        is_body = self._choice.random() < 0.3
        began = time.monotonic()
        reader, writer = await asyncio.open_connection(HOST, self._place.port)
        answering = asyncio.create_task(read_answer(reader))
        try:
            answer = await self._dawdle(answering, writer, head if is_body else head[:40])
        finally:
            answering.cancel()
            writer.close()
        seconds = time.monotonic() - began
        what, limit_seconds = ("a slow body", BODY_SECONDS) if is_body else ("a slow head", HEAD_SECONDS)
        is_told = answer is not None and answer.status == 408
        if seconds <= limit_seconds and (is_told or not is_body):
            self._notes.done[what] += 1
        else:
            self._notes.fails(f"{what}: {answer} after {seconds:.0f} s"[:300])

    async def rest(self) -> None:
        """Nothing is held between two acts."""

    async def _dawdle(
        self, answering: "asyncio.Task[Answer]", writer: asyncio.StreamWriter, octets: bytes
    ) -> Answer | None:
        """Send the octets, and one more each second if they are no head yet; return what is answered, if anything."""
        writer.write(octets)
        ends_at = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < ends_at:
            await asyncio.wait([answering], timeout=1.0)
            if answering.done():
                return None if answering.exception() else answering.result()
            if not octets.endswith(b"\r\n\r\n"):
                writer.write(b"x")
        return None


def head_of(place: Place, line: str, length: int | None, more: str) -> bytes:
    """Return the head of a request with a good token; chunks follow where there is no length."""
    size = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    token = f"authorization: Bearer {place.token}"
    return f"{line} HTTP/1.1\r\nhost: {HOST}:{place.port}\r\n{token}\r\n{more}{size}\r\n\r\n".encode()


async def ask_raw(port: int, octets: bytes) -> Answer:
    """Send these octets on a connection of their own and read one answer, which may come before all are sent."""
    async with asyncio.timeout(ANSWER_SECONDS):
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            writer.write(octets)
            return await read_answer(reader)
        finally:
            writer.close()


def compare(notes: Notes, what: str, answer: Answer, status: int, code: str) -> None:
    """Take note of whether the answer is the one that it has to be."""
    try:
        told = orjson.loads(answer.body)["code"]
    except (ValueError, KeyError, TypeError):
        told = answer.body[:200]
    if (answer.status, told) == (status, code):
        notes.done[f"{status} {code}"] += 1
    else:
        notes.fails(f"{what}: {answer.status} {told} instead of {status} {code}")
