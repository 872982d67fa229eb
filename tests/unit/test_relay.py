"""The wire that tests cut: it is cut at once and for all, and its port stays its own."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.gateway_process import wait_until
from tests.support.relay import relaying

_SECONDS = 20


@pytest.fixture
def target() -> Iterator[socket.socket]:
    """A server with room for one connection that it has not taken yet."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        server.settimeout(_SECONDS)
        yield server


def port_of(server: socket.socket) -> int:
    port: int = server.getsockname()[1]
    return port


def call(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=_SECONDS)


def test_what_is_mended_passes_on_again(target: socket.socket) -> None:
    with relaying(port_of(target)) as wire:
        wire.cut()
        wire.mend()
        with call(wire.port) as near, target.accept()[0] as far:
            near.sendall(b"x")

            assert far.recv(1) == b"x"


def test_nobody_gets_the_port_while_it_is_cut(target: socket.socket) -> None:
    with relaying(port_of(target)) as wire, socket.socket() as other:
        wire.cut()

        with pytest.raises(OSError, match="Address already in use"):
            other.bind(("127.0.0.1", wire.port))


def test_a_connection_that_is_being_made_is_cut_as_well(target: socket.socket) -> None:
    with ExitStack() as opened:
        opened.enter_context(call(port_of(target)))  # the room is taken
        wire = opened.enter_context(relaying(port_of(target)))
        near = opened.enter_context(call(wire.port))
        wait_until(lambda: is_being_made(port_of(target)))
        wire.cut()
        opened.enter_context(target.accept()[0])

        assert received(near) == b""


def is_being_made(port: int) -> bool:
    """Return whether somebody has asked for a connection to a port, and has no answer yet."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return any((row[2], row[3]) == (f"0100007F:{port:04X}", "02") for row in rows)  # SYN_SENT


def received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1)
    except ConnectionResetError:
        return b""
