"""A worker's listening socket: how connections are taken from it."""

import asyncio
import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import uvloop

from gateway.listener import Listener, waiting_count

COUNTED = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how many connections wait")


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen(128)
        yield one


@contextmanager
def crowd(listening: socket.socket, count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(listening.getsockname())) for _ in range(count)]


class Greeter(asyncio.Protocol):
    """Greets, and closes."""

    def connection_made(self, transport: Any) -> None:
        transport.write(b"hello")
        transport.close()


def greetings(clients: list[socket.socket]) -> list[bytes]:
    for client in clients:
        client.settimeout(10)
    return [client.recv(16) for client in clients]


async def in_a_thread(clients: list[socket.socket]) -> list[bytes]:
    return await asyncio.get_running_loop().run_in_executor(None, greetings, clients)


@COUNTED
def test_the_connections_that_wait_are_counted(listening: socket.socket) -> None:
    with crowd(listening, 5):
        assert waiting_count(listening) == 5


@COUNTED
@pytest.mark.parametrize(("workers", "waiting", "left"), [(1, 64, 48), (1, 10, 5), (2, 16, 12), (4, 16, 14), (8, 4, 3)])
def test_a_turn_of_the_event_loop_takes_a_share_of_the_crowd(
    listening: socket.socket, workers: int, waiting: int, left: int
) -> None:
    async def turn() -> int:
        loop, counts = asyncio.get_running_loop(), [waiting]
        listener = Listener(listening, Greeter, workers)
        while counts[-1] == waiting:
            await asyncio.sleep(0)
            counts.append(waiting_count(listening))
        listener.close()
        await loop.shutdown_default_executor()
        return counts[-1]

    with crowd(listening, waiting):
        assert uvloop.run(turn()) == left


@pytest.mark.parametrize("workers", [1, 2, 256])
def test_every_connection_of_a_crowd_is_taken(listening: socket.socket, workers: int) -> None:
    async def serve(clients: list[socket.socket]) -> list[bytes]:
        listener = Listener(listening, Greeter, workers)
        try:
            return await in_a_thread(clients)
        finally:
            listener.close()

    with crowd(listening, 40) as clients:
        assert uvloop.run(serve(clients)) == [b"hello"] * 40


def test_a_listener_that_rests_leaves_them_to_its_sibling(listening: socket.socket) -> None:
    async def one_of_two() -> tuple[list[bytes], bool]:
        taken: list[str] = []

        def named(name: str) -> Greeter:
            taken.append(name)
            return Greeter()

        with listening.dup() as other:
            resting = Listener(listening, lambda: named("resting"), 2)
            sibling = Listener(other, lambda: named("sibling"), 2)
            resting.rest()
            with crowd(listening, 1) as clients:
                heard = await in_a_thread(clients)
            for listener in (resting, sibling):
                listener.close()
        return heard, taken == ["sibling"]

    assert uvloop.run(one_of_two()) == ([b"hello"], True)


def test_a_listener_that_has_rested_takes_what_nobody_else_has(listening: socket.socket) -> None:
    async def alone() -> list[bytes]:
        listener = Listener(listening, Greeter, 1)
        listener.rest()
        with crowd(listening, 3) as clients:
            heard = await in_a_thread(clients)
        listener.close()
        return heard

    assert uvloop.run(alone()) == [b"hello"] * 3


def test_a_closed_listener_takes_none(listening: socket.socket) -> None:
    async def serve(clients: list[socket.socket]) -> list[bytes]:
        listener = Listener(listening, Greeter, 1)
        listener.close()
        listener.close()
        with crowd(listening, 1) as late:
            late[0].settimeout(0.3)
            with pytest.raises(TimeoutError):
                await asyncio.get_running_loop().run_in_executor(None, late[0].recv, 1)
        later = Listener(listening, Greeter, 1)
        try:
            return await in_a_thread(clients)
        finally:
            later.close()

    with crowd(listening, 1) as clients:
        assert uvloop.run(serve(clients)) == [b"hello"]


def test_connections_wait_while_there_are_no_descriptors(listening: socket.socket) -> None:
    async def serve(clients: list[socket.socket]) -> list[bytes]:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        answers = in_a_thread(clients)
        listener = Listener(listening, Greeter, 1)
        resource.setrlimit(resource.RLIMIT_NOFILE, (1, before[1]))
        asyncio.get_running_loop().call_later(0.3, resource.setrlimit, resource.RLIMIT_NOFILE, before)
        try:
            return await answers
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
            listener.close()

    with crowd(listening, 20) as clients:
        assert uvloop.run(serve(clients)) == [b"hello"] * 20


def test_a_connection_that_gets_no_protocol_is_closed(listening: socket.socket) -> None:
    def refuse() -> Greeter:
        raise RuntimeError

    async def serve(clients: list[socket.socket]) -> list[bytes]:
        listener = Listener(listening, refuse, 1)
        try:
            return await in_a_thread(clients)
        finally:
            listener.close()
            await listener.wait_closed()

    with crowd(listening, 3) as clients:
        assert uvloop.run(serve(clients)) == [b""] * 3


@COUNTED
def test_a_closed_listener_waits_for_the_connections_that_it_has_taken(listening: socket.socket) -> None:
    made: list[Greeter] = []

    def make() -> Greeter:
        made.append(Greeter())
        return made[-1]

    async def serve() -> int:
        listener, left = Listener(listening, make, 1), 8
        while left == 8:  # until a turn of the loop has taken its share
            await asyncio.sleep(0)
            left = waiting_count(listening)
        listener.close()
        await listener.wait_closed()
        return len(made)

    with crowd(listening, 8):
        assert uvloop.run(serve()) == 4
