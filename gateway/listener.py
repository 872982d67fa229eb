"""The listening socket of a worker: connections taken as they come, several in one turn of the event loop.

1. The event loop's own server takes one connection a turn. Where a turn answers dozens of requests, the last of a crowd
   of new connections then waits for as many turns as came before it.
2. So a turn takes a share of those that wait in the kernel's queue, up to ``_MOST_A_TURN``. Workers share the socket,
   and whoever wakes first finds all that has come: the share is half of each worker's part, so that none takes all of
   a crowd at once. Where the system does not tell how many wait, a turn takes one.
3. Where none can be taken because the process or the system has run out of descriptors or memory, or because there are
   too many already, the rest stay in the queue, and it is tried again after a moment. One that has gone before it was
   taken is nothing.
4. A listener that rests leaves those that come to its siblings for a moment, and takes what is left then: whoever has
   most to do wakes first, and would take back whom it has just told to go (``gateway.web.fair_share``).
"""

import asyncio
import errno
import socket
import struct
import sys
from collections.abc import Callable
from typing import Final

import structlog

_MOST_A_TURN: Final = 16
_PAUSE_SECONDS: Final = 0.1
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_UNACKED: Final = 24
"""Where ``struct tcp_info`` has how many connections wait, of a socket that listens (linux/tcp.h, ``tcpi_unacked``)."""


class Listener:
    """Takes the connections of one socket; belongs to the running event loop.

    Args:
        listening: a socket that listens already; it stays whoever's it is.
        make_protocol: makes the protocol of a connection.
        workers: how many processes take connections from the same socket.
        make_room: returns whether one more may be taken, given how many have been that are not open yet.
    """

    def __init__(
        self,
        listening: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        workers: int,
        make_room: Callable[[int], bool] = lambda _: True,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listening = listening
        self._make_protocol = make_protocol
        self._share = 2 * workers
        self._make_room = make_room
        self._opening: set[asyncio.Task[None]] = set()
        self._opening_count = 0
        """How many have been taken whose protocol may not have heard of it yet."""
        self._is_closed = self._is_exhausted = False
        listening.setblocking(False)
        self._listen()

    def rest(self) -> None:
        """Take none for a moment, so that siblings take those that come; if there is none that does, they wait."""
        if not self._is_closed:
            self._loop.remove_reader(self._listening.fileno())
            self._loop.call_later(_PAUSE_SECONDS, self._listen)

    def close(self) -> None:
        """Take no more connections; those that have been taken go on."""
        if not self._is_closed:
            self._is_closed = True
            self._loop.remove_reader(self._listening.fileno())

    async def wait_closed(self) -> None:
        """Return when every connection that has been taken has its protocol."""
        while self._opening:
            await asyncio.wait(self._opening)

    def _listen(self) -> None:
        if not self._is_closed:
            self._loop.add_reader(self._listening.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(max(1, min(waiting_count(self._listening) // self._share, _MOST_A_TURN))):
            if not self._make_room(self._opening_count):
                if not self._opening_count:
                    self._pause("there are too many connections")
                return
            try:
                connection, _ = self._listening.accept()
            except BlockingIOError:
                return  # another worker has it
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    continue  # what was wrong with a connection before it was taken, accept(2) reports
                self._pause(error.strerror)
                return
            self._is_exhausted = False
            self._opening_count += 1
            task = self._loop.create_task(self._open(connection))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def _pause(self, reason: str | None) -> None:
        if not self._is_exhausted:
            structlog.get_logger().error("no_connection_taken", reason=reason)
        self._is_exhausted = True
        self._loop.remove_reader(self._listening.fileno())
        self._loop.call_later(_PAUSE_SECONDS, self._listen)

    async def _open(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, connection)
        except OSError:
            connection.close()  # the client has left
        except Exception:  # noqa: BLE001 - whatever it is, the client must not wait for ever
            connection.close()
            structlog.get_logger().exception("connection_not_opened")
        finally:
            self._opening_count -= 1


def waiting_count(listening: socket.socket) -> int:
    """Return how many connections wait to be taken from a socket; 1 where the system does not tell."""
    if sys.platform != "linux":
        return 1
    try:
        info = listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _UNACKED + 4)
    except OSError:
        return 1
    return int(struct.unpack_from("=I", info, _UNACKED)[0])
