"""A load generator: so many connections, each sending the next request when it has the answer to the last one.

1. One thread a connection, plain sockets, the request made once: what is measured is the gateway and the network, and
   as little of this program as can be. It still takes processor time, and with more connections than a few it is
   Python's lock that they wait for: beyond some thousands of answers a second the generator is what is slow.
2. An answer is read to its end by its length, and counted by its status. Nothing else of it is looked at, but whether
   its connection ends with it (``Connection: close``, as a gateway has it where its connections lie unevenly, or a
   worker is replaced): then the next request goes over another one. That is no failure, and its time is no answer's.
3. Each connection asks at least once, also where this program has stood still for as long as the round lasts: a round
   without any answer would say nothing.
4. A connection that breaks ends its thread's part of the round; the round says how many did.

Source: RFC 9112 section 9.6 for what ``close`` promises.
"""

import re
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from gateway.client.errors import ConnectionFailed

_TIMEOUT_SECONDS: Final = 60.0
_CHUNK_BYTES: Final = 65536
_HEAD_BYTES: Final = 65536
_OK: Final = 200
_CLOSE: Final = re.compile(rb"\r\nconnection:(?:[^\r\n]*,)?[ \t]*close[ \t]*(?:[,\r]|$)")
"""In a head in small letters: the word ``close`` among those of the header ``Connection``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Where to send what."""

    url: str
    path: str
    body: bytes = field(repr=False)
    token: str | None = field(default=None, repr=False)

    def octets(self) -> bytes:
        """Return the request as it goes over the wire, over and over."""
        parts = urlsplit(self.url)
        lines = [
            f"POST {parts.path.rstrip('/')}{self.path} HTTP/1.1",
            f"host: {parts.netloc}",
            "content-type: application/json",
            "accept: application/json",
            "user-agent: sardonyx-bench",
            f"content-length: {len(self.body)}",
            *((f"authorization: Bearer {self.token}",) if self.token else ()),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round has shown."""

    seconds: float
    latencies: Sequence[float]
    """Seconds of each good answer, ascending."""
    failed: Counter[str]
    """Answers that were not good, by status, and connections that broke."""
    cpu_seconds: float
    """Processor time that the generator itself has taken."""

    @property
    def per_second(self) -> float:
        """Good answers a second."""
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float | None:
        """Return the latency that this share of the good answers did not exceed; None if there was none."""
        if not self.latencies:
            return None
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]


def run_round(asked: Request, *, connections: int, seconds: float) -> Round:
    """Keep so many connections busy for so long, and for one answer each at least.

    Raises:
        ConnectionFailed: nobody listens.
    """
    octets = asked.octets()
    open_connections = [_Connection(asked.url, _connect(asked.url)) for _ in range(connections)]
    latencies: list[list[float]] = [[] for _ in range(connections)]
    failed: list[Counter[str]] = [Counter() for _ in range(connections)]
    begin = threading.Barrier(connections + 1)
    ends_at = [0.0]

    def work(place: int) -> None:
        begin.wait(_TIMEOUT_SECONDS)
        _ask_until(open_connections[place], octets, ends_at, latencies[place], failed[place])

    threads = [threading.Thread(target=work, args=(place,), daemon=True) for place in range(connections)]
    for thread in threads:
        thread.start()
    cpu_before, began = time.process_time(), time.perf_counter()
    ends_at[0] = began + seconds
    begin.wait(_TIMEOUT_SECONDS)
    for thread in threads:
        thread.join(seconds + _TIMEOUT_SECONDS)
    took, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_before
    for connection in open_connections:
        connection.line.close()
    return Round(
        seconds=took,
        latencies=sorted(latency for found in latencies for latency in found),
        failed=sum(failed, Counter()),
        cpu_seconds=cpu_seconds,
    )


@dataclass(slots=True)
class _Connection:
    """A connection to a gateway, and after an answer that was its last one another."""

    url: str
    line: socket.socket
    has_ended: bool = False

    def renew(self) -> None:
        """Connect anew if the last answer has ended the connection."""
        if self.has_ended:
            self.line.close()
            self.line, self.has_ended = _connect(self.url), False

    def ask(self, octets: bytes) -> int:
        """Send a request and return the status of its answer; raises as ``read_answer``."""
        self.line.sendall(octets)
        status, self.has_ended = read_answer(self.line)
        return status


def _ask_until(
    connection: _Connection, octets: bytes, ends_at: list[float], latencies: list[float], failed: Counter[str]
) -> None:
    while True:
        try:
            connection.renew()
            began = time.perf_counter()
            status = connection.ask(octets)
        except (OSError, ValueError, ConnectionFailed):
            failed["connection"] += 1
            return
        now = time.perf_counter()
        if status == _OK:
            latencies.append(now - began)
        else:
            failed[str(status)] += 1
        if now >= ends_at[0]:
            return


def read_answer(connection: socket.socket) -> tuple[int, bool]:
    """Read one answer with a content-length to its end; return its status, and whether it is the connection's last.

    Raises:
        OSError: the connection broke.
        ValueError: that was no such answer.
    """
    received = bytearray()
    while (end := received.find(b"\r\n\r\n")) < 0:
        if len(received) > _HEAD_BYTES:
            raise ValueError("the head of the answer has no end")
        received += _received(connection)
    head = bytes(received[:end]).lower()
    begins = head.find(b"\r\ncontent-length:")
    if begins < 0:
        raise ValueError("the answer does not say its length")
    length = int(head[begins + 17 :].split(b"\r\n", 1)[0])
    missing = end + 4 + length - len(received)
    while missing > 0:
        missing -= len(_received(connection))
    return int(head.split(b" ", 2)[1]), _CLOSE.search(head) is not None


def _received(connection: socket.socket) -> bytes:
    chunk = connection.recv(_CHUNK_BYTES)
    if not chunk:
        raise ConnectionError("closed")
    return chunk


def _connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    is_secure = parts.scheme == "https"
    host = parts.hostname or ""
    try:
        connection = socket.create_connection((host, parts.port or (443 if is_secure else 80)), _TIMEOUT_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return ssl.create_default_context().wrap_socket(connection, server_hostname=host) if is_secure else connection
    except OSError as error:
        raise ConnectionFailed(f"no gateway answered at {url}: {error.strerror or error}") from error


def is_this_machine(url: str) -> bool:
    """Tell whether an address is one of this machine's: such a one, and no other, can be listened at."""
    try:
        family, _, _, _, address = socket.getaddrinfo(urlsplit(url).hostname, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind(address)
    except OSError:
        return False
    return True
