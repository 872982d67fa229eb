"""Requests that leave when they are due, whatever has come back: for honest tails.

1. Moments are drawn beforehand (Poisson, seeded). A request's latency counts from its moment, so that a server that
   stalls is charged for everything that was due meanwhile (no coordinated omission).
2. Keep-alive connections, opened beforehand and used in turn, one request at a time each. When all are taken, what is
   due waits for one, at the server's charge.
3. One thread that never sleeps: sockets, epoll and no framework. How late it was itself, with a connection at hand, is
   part of the outcome: where its 99th percentile is not far below the latencies shown, they are the generator's.
4. Some answers are kept, to be compared when the time is over.
"""

import gc
import math
import random
import select
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.servers import HOST

GIVE_UP_SECONDS = 3.0
"""What has been due for longer than that and has not left, or has left and is not answered, ends the run."""
KEPT_COUNT = 200
_END_OF_CHUNKS = b"0\r\n\r\n"


def make_schedule(rate: float, seconds: float, seed: int) -> list[float]:
    """Return moments from the beginning, in seconds: a Poisson process of so many a second."""
    draw = random.Random(seed)  # noqa: S311  a load, not a secret
    moments = []
    moment = draw.expovariate(rate)
    while moment < seconds:
        moments.append(moment)
        moment += draw.expovariate(rate)
    return moments


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of all does not exceed; the values come in order."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


@dataclass(slots=True)
class Outcome:
    """What happened to the requests of one schedule. Times in seconds."""

    due_count: int
    latencies: list[float] = field(default_factory=list)
    """Of all that were answered with 200, each from its moment."""
    lateness: list[float] = field(default_factory=list)
    """How long after its moment a request left, of those for which a connection was free at that moment."""
    failures: int = 0
    elapsed: float = 0.0
    """From the beginning to the last answer."""
    is_overloaded: bool = False
    """The server fell behind by seconds, and the run was ended: its percentiles say nothing."""
    kept: list[tuple[int, bytes]] = field(default_factory=list)
    """Some answers, with the index of the body that was sent."""

    @property
    def answered_per_second(self) -> float:
        return len(self.latencies) / self.elapsed if self.elapsed else 0.0

    def percentiles_us(self) -> dict[str, float]:
        """Return p50, p90, p99 and p999 of the latencies, in microseconds."""
        ordered = sorted(self.latencies)
        shares = {"p50_us": 0.5, "p90_us": 0.9, "p99_us": 0.99, "p999_us": 0.999}
        return {name: round(percentile(ordered, share) * 1e6, 1) for name, share in shares.items()}

    def lateness_p99_us(self) -> float:
        return round(percentile(sorted(self.lateness), 0.99) * 1e6, 1)


class _Connection:
    """One socket, and the request that it carries."""

    __slots__ = ("expected", "index", "received", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.index = -1
        self.received = b""
        self.expected = 0

    def take_in(self) -> bool:
        """Read what is there; True when the answer is complete. Raises EOFError if the server has closed."""
        data = self.socket.recv(1 << 16, socket.MSG_DONTWAIT)
        if not data:
            raise EOFError
        self.received = self.received + data if self.received else data
        if not self.expected:
            self.expected = answer_length(self.received)
        if self.expected < 0:
            return self.received.endswith(_END_OF_CHUNKS)
        return 0 < self.expected <= len(self.received)


def answer_length(received: bytes) -> int:
    """Return how long an answer will be with its head: 0 while that cannot be told, -1 if it comes in chunks."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return 0
    head = received[:end].lower()
    at = head.find(b"content-length:")
    if at < 0:
        return -1 if b"chunked" in head else end + 4
    line_end = head.find(b"\r\n", at)
    return end + 4 + int(head[at + 15 : line_end if line_end > 0 else end])


def make_request(path: str, body: bytes, port: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"host: {HOST}:{port}", "content-type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body


class _Schedule:
    """How far a schedule has come."""

    __slots__ = ("_answered", "_began", "_body_count", "_following", "_keep_every", "_moments", "outcome", "waiting")

    def __init__(self, moments: Sequence[float], body_count: int) -> None:
        self.outcome = Outcome(len(moments))
        self.waiting: deque[int] = deque()
        """What is due and has not left."""
        self._moments = moments
        self._body_count = body_count
        self._keep_every = max(1, len(moments) // KEPT_COUNT)
        self._following = self._answered = 0
        self._began = time.perf_counter()

    def is_going_on(self) -> bool:
        """False when all is answered, or when the server has fallen behind by seconds."""
        if self._answered == self._following:
            return self._answered < len(self._moments)
        oldest = self.waiting[0] if self.waiting else self._following - 1
        is_lost = time.perf_counter() - self._began - self._moments[oldest] > GIVE_UP_SECONDS
        self.outcome.is_overloaded = is_lost
        return not is_lost

    def fall_due(self, *, is_free: bool) -> None:
        """Put in line whatever has fallen due, and note how late that is if it could have left at once."""
        now = time.perf_counter() - self._began
        while self._following < len(self._moments) and self._moments[self._following] <= now:
            if is_free:
                self.outcome.lateness.append(now - self._moments[self._following])
            self.waiting.append(self._following)
            self._following += 1

    def note(self, index: int, answer: bytes) -> None:
        """Take an answer in."""
        now = time.perf_counter() - self._began
        self._answered += 1
        self.outcome.elapsed = now
        if answer[9:12] != b"200":
            self.outcome.failures += 1
            return
        self.outcome.latencies.append(now - self._moments[index])
        if index % self._keep_every == 0:
            self.outcome.kept.append((index % self._body_count, answer))


class OpenLoop:
    """Connections to one server, for one schedule after the other."""

    def __init__(self, port: int, requests: Sequence[bytes], *, connection_count: int) -> None:
        self._port = port
        self._requests = requests
        self._epoll = select.epoll()
        self._by_descriptor: dict[int, _Connection] = {}
        self._free: deque[_Connection] = deque()
        for _ in range(connection_count):
            self._free.append(self._open())

    def close(self) -> None:
        for connection in self._by_descriptor.values():
            connection.socket.close()
        self._epoll.close()

    def run(self, moments: Sequence[float]) -> Outcome:
        """Send a request at each moment, and wait for what is under way at the end."""
        gc.collect()
        gc.disable()
        try:
            schedule = _Schedule(moments, len(self._requests))
            while schedule.is_going_on():
                schedule.fall_due(is_free=bool(self._free))
                while schedule.waiting and self._free:
                    self._send(self._free.popleft(), schedule.waiting.popleft())
                for descriptor, _ in self._epoll.poll(0):
                    connection = self._by_descriptor[descriptor]
                    index = connection.index
                    answer = self._take_in(connection)
                    if answer is not None:
                        schedule.note(index, answer)
            return schedule.outcome
        finally:
            gc.enable()

    def _send(self, connection: _Connection, index: int) -> None:
        connection.index = index
        connection.received = b""
        connection.expected = 0
        connection.socket.sendall(self._requests[index % len(self._requests)])

    def _take_in(self, connection: _Connection) -> bytes | None:
        """Return the answer when it is complete, and free the connection; b"" if the connection broke instead."""
        try:
            if not connection.take_in():
                return None
        except (EOFError, OSError):
            return self._replace(connection)
        connection.index = -1
        self._free.append(connection)
        return connection.received

    def _replace(self, broken: _Connection) -> bytes | None:
        self._epoll.unregister(broken.socket)
        del self._by_descriptor[broken.socket.fileno()]
        broken.socket.close()
        was_idle = broken.index < 0
        if was_idle:
            self._free.remove(broken)
        self._free.append(self._open())
        return None if was_idle else b""

    def _open(self) -> _Connection:
        connection = _Connection(self._port)
        self._by_descriptor[connection.socket.fileno()] = connection
        self._epoll.register(connection.socket, select.EPOLLIN)
        return connection
