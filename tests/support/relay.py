"""A wire that can be cut: connections to one port are passed on to another one, until they are not."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_CHUNK = 65536


class Relay:
    """Passes on what comes to ``port``; while it is cut, connections are refused."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        # While it is cut, no connection that somebody makes may be given the port.
        self._reservation = _bound(0)
        self.port: int = self._reservation.getsockname()[1]
        self._listener: socket.socket | None = None
        self.mend()

    def cut(self) -> None:
        """End every connection, and take no more."""
        with self._lock:
            listener, self._listener = self._listener, None
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        if listener is not None:
            # Closing alone would leave whoever waits in accept waiting.
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def mend(self) -> None:
        """Take connections again, on the same port."""
        listener = _bound(self.port)
        listener.listen(64)
        with self._lock:
            self._listener = listener
        threading.Thread(target=self._take, args=(listener,), daemon=True).start()

    def close(self) -> None:
        """Cut it for good, and give the port back."""
        self.cut()
        self._reservation.close()

    def _take(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target_port), timeout=10)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                if self._listener is not listener:  # cut meanwhile
                    near.close()
                    far.close()
                    return
                self._open |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(_CHUNK):
                sink.sendall(chunk)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open.discard(source)
        source.close()


@contextmanager
def relaying(target_port: int) -> Iterator[Relay]:
    """Run one; it is cut at the end."""
    relay = Relay(target_port)
    try:
        yield relay
    finally:
        relay.close()


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound
