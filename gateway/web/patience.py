"""How long the gateway waits for a client that goes on too slowly, whether on purpose or not.

1. A head is complete ``HEAD_SECONDS`` after its first part has come.
2. A body is complete, or has brought ``LEAST_BYTES`` more, after each ``PAUSE_SECONDS``. What passes while the gateway
   itself does not read is not counted. So a body that drips is no better than one that has stopped.
3. An answer is taken at the same rate, what the system's own buffers give away included; else the connection is
   dropped: to close it politely would mean to wait for the client once more.
4. A chunk has a reason: a body may come in ``MOST_SMALL_CHUNKS`` of any size, and more only if they are of
   ``SMALL_CHUNK_BYTES`` on average. Each costs as much work as a small request.
5. Hundreds that have come together are not given up together, which would hold the others up: connections are waited
   for up to a twentieth longer than they have to be, each by another time than its neighbours.
"""

import asyncio
import contextlib
import fcntl
import itertools
import struct
import sys
import termios
from collections.abc import Callable
from typing import Any, Final

from gateway.web.limits import Message, Receive
from registry.errors import RequestTimeout

HEAD_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 30.0
LEAST_BYTES: Final = 4 * 1024
MOST_SMALL_CHUNKS: Final = 16 * 1024
SMALL_CHUNK_BYTES: Final = 64


_SPREAD: Final = itertools.cycle(1 + step / 1280 for step in range(64))


class Watch:
    """Looks now and then whether something goes on, for as long as it is waited for.

    Args:
        loop: whose time it is.
        seconds: from one look to the next, at least (rule 5).
        least: by how much ``mark`` has to grow from look to look.
        mark: how far it is; None when nothing is waited for any more.
        give_up: called once it has not gone on.
    """

    __slots__ = ("_before", "_give_up", "_least", "_loop", "_mark", "_seconds", "_timer")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        seconds: float,
        least: int,
        *,
        mark: Callable[[], int | None],
        give_up: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._seconds = seconds * next(_SPREAD)
        self._least = least
        self._mark = mark
        self._give_up = give_up
        self._before = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Begin to wait, unless that has begun already."""
        mark = self._mark()
        if self._timer is None and mark is not None:
            self._before = mark
            self._timer = self._loop.call_later(self._seconds, self._look)

    def end(self) -> None:
        """Look no more, and let go of whoever was looked at."""
        self._mark = self._give_up = _nothing
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        mark = self._mark()
        if mark is not None and mark - self._before < self._least:
            self._give_up()
        else:
            self.begin()


def _nothing() -> None:
    """Stand for what is over."""


def patient(receive: Receive) -> Receive:
    """Return a ``receive`` that waits for the parts of a body only as long as the body goes on.

    It raises RequestTimeout when it does not.
    """
    rest_seconds, size, is_whole = PAUSE_SECONDS, 0, False

    async def receive_patiently() -> Message:
        nonlocal rest_seconds, size, is_whole
        if is_whole:
            return await receive()
        loop = asyncio.get_running_loop()
        since = loop.time()
        try:
            async with asyncio.timeout(rest_seconds):
                message = await receive()
        except TimeoutError as error:
            raise slow_body(PAUSE_SECONDS) from error
        rest_seconds -= loop.time() - since
        size += len(message.get("body", b""))
        if size >= LEAST_BYTES:
            rest_seconds, size = PAUSE_SECONDS, 0
        is_whole = not message.get("more_body", False)
        return message

    return receive_patiently


def slow_body(seconds: float) -> RequestTimeout:
    """Return what is said of a body that does not go on."""
    return RequestTimeout(f"the body stopped: less than {LEAST_BYTES} bytes of it came within {seconds:g} seconds")


def slow_head(seconds: float) -> RequestTimeout:
    """Return what is said of a head that does not end."""
    return RequestTimeout(f"the request line and the headers were not complete within {seconds:g} seconds")


def unsent_bytes(transport: Any) -> int:
    """Return how much of what was written the client's system has not taken."""
    size: int = transport.get_write_buffer_size()
    connection = transport.get_extra_info("socket")
    if sys.platform == "linux" and connection is not None:
        with contextlib.suppress(OSError):  # it is being closed
            size += struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
    return size
