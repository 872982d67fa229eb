"""Sending what is hostile, and holding each outcome against those that are allowed."""

import asyncio
import collections
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import orjson

from bench.hostile_judgement import CLOSED, LEFT, RESET, is_forgiven, outcome_of
from bench.http_connection import Connection, read_answer
from bench.servers import HOST
from bench.soak_gateway import BYTES
from tests.hostile_set.files import FileCase
from tests.hostile_set.requests import GOOD_TOKEN, Manner, RequestCase

ANSWER_SECONDS = 60
PATIENCE_SECONDS = 45
"""A head that drips and a body that stalls are given up by then: after 10 s and 30 s, it is promised."""
LEAVING_SECONDS = 0.5
TRIES = 5


@dataclass(frozen=True, slots=True)
class Odd:
    """An outcome that is not allowed, and when it was (seconds since the epoch)."""

    what: str
    outcome: str
    allowed: tuple[str, ...]
    began: float
    ended: float


@dataclass(slots=True)
class Tally:
    """What has come of everything."""

    outcomes: collections.Counter[tuple[str, str]] = field(default_factory=collections.Counter)
    """By kind and outcome."""
    odd: list[Odd] = field(default_factory=list)

    def note(self, kind: str, what: str, outcome: str, *, allowed: Sequence[str], began: float) -> None:
        self.outcomes[kind, outcome] += 1
        if outcome not in allowed:
            if self.outcomes[kind, outcome] == 1:  # whoever watches wants to look at once
                print(f"  {what}: {outcome} instead of {' or '.join(allowed)}", flush=True)
            self.odd.append(Odd(what, outcome, tuple(allowed), began, time.time()))

    def failures(self, deaths: Sequence[float]) -> list[Odd]:
        """Return what was not allowed, without resets that another's killing has caused."""
        return [odd for odd in self.odd if odd.outcome != RESET or not is_forgiven(odd.began, odd.ended, deaths)]


class Attacker:
    """Sends cases to a gateway, over a connection of its own each time."""

    def __init__(self, port: int, token: str, tally: Tally) -> None:
        self._port = port
        self._token = token
        self._tally = tally

    async def send(self, case: RequestCase) -> None:
        """Send a request as it wants to be sent, as often as it wants to be."""
        octets = self._octets(case)
        await asyncio.gather(*(self._repeat(case, octets) for _ in range(case.at_once)))

    async def upload(self, case: FileCase, name: str) -> None:
        """Register a file, ask it everything if it is taken, and retire it."""
        content = await asyncio.to_thread(case.build)
        began = time.time()
        path = f"/registry/models/{name}/versions"
        outcome, body = await self._persist("POST", path, content, is_file=True)
        self._tally.note(case.kind, case.name, outcome, allowed=case.registers, began=began)
        if outcome not in ("200", "201"):
            return
        number = orjson.loads(body)["version"]
        for feed in case.feeds:
            question = await asyncio.to_thread(orjson.dumps, feed.body(), option=orjson.OPT_SERIALIZE_NUMPY)
            began = time.time()
            outcome, _ = await self._ask("POST", f"/v{number}/models/{name}/predict", question)
            self._tally.note(f"{case.kind}, asked", case.name, outcome, allowed=feed.outcomes, began=began)
        await self._persist("DELETE", f"{path}/{number}", b"")

    async def _repeat(self, case: RequestCase, octets: bytes) -> None:
        for _ in range(case.times):
            began = time.time()
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    outcome = await self._outcome(case.manner, octets)
            except TimeoutError:
                outcome = "no answer"
            kind = f"row {case.row:2}: {case.name}"
            self._tally.note(kind, kind, outcome, allowed=case.outcomes, began=began)

    async def _outcome(self, manner: Manner, octets: bytes) -> str:
        ended = CLOSED if manner is Manner.DRIPPING else RESET
        try:
            reader, writer = await asyncio.open_connection(HOST, self._port)
        except OSError:
            return ended
        try:
            writer.write(octets[: octets.index(b"\r\n") + 4] if manner is Manner.DRIPPING else octets)
            if manner is Manner.LEAVING:
                await asyncio.sleep(LEAVING_SECONDS)
                return LEFT
            answering = asyncio.ensure_future(read_answer(reader))
            if manner is Manner.DRIPPING:
                await _drip(answering, writer)
            answer = await answering
        except (OSError, EOFError) as error:
            if isinstance(error, TimeoutError):
                raise
            return ended
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        return outcome_of(answer.status, answer.body)

    async def _persist(self, method: str, path: str, body: bytes, *, is_file: bool = False) -> tuple[str, bytes]:
        """Ask again where the worker died of something else meanwhile, as any client of the registry would."""
        for _ in range(TRIES):
            began = time.time()
            outcome, answer = await self._ask(method, path, body, is_file=is_file)
            if outcome != RESET:
                break
            self._tally.note("asked again", f"{method} {path}", outcome, allowed=("an answer",), began=began)
        return outcome, answer

    async def _ask(self, method: str, path: str, body: bytes, *, is_file: bool = False) -> tuple[str, bytes]:
        connection = Connection(self._port, self._token)
        try:
            headers = BYTES if is_file else {"content-type": "application/json"}
            answer = await connection.request(method, path, body, headers)
        except TimeoutError:
            return "no answer", b""
        except (OSError, EOFError):
            return RESET, b""
        finally:
            connection.close()
        return outcome_of(answer.status, answer.body), answer.body

    def _octets(self, case: RequestCase) -> bytes:
        body = case.body()
        token = self._token if case.token == GOOD_TOKEN else case.token
        length = len(body) if case.announced is None else case.announced
        size = "transfer-encoding: chunked" if case.is_chunked else f"content-length: {length}"
        lines = [
            f"POST {case.path} HTTP/1.1",
            f"host: {case.host or f'{HOST}:{self._port}'}",
            f"authorization: Bearer {token}",
            f"content-type: {case.kind}",
            *case.headers,
            size,
        ]
        end = b"0\r\n\r\n" if case.is_chunked else b""
        return "\r\n".join([*lines, "", ""]).encode() + body + end


async def _drip(answering: "asyncio.Future[object]", writer: asyncio.StreamWriter) -> None:
    """Send a byte a second, until there is an answer or an end, or patience is over."""
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while not answering.done() and time.monotonic() < ends_at:
        await asyncio.wait([answering], timeout=1.0)
        if not answering.done():
            writer.write(b"x")
    if not answering.done():
        answering.cancel()
        raise TimeoutError
