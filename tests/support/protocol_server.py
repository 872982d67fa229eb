"""A server of one protocol class and one ASGI application, in a thread: for what is about connections only."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from tests.support.gateway_process import wait_until


@contextmanager
def serving(config: uvicorn.Config) -> Iterator[int]:
    """Serve on a free port of loopback, and yield the port."""
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        wait_until(lambda: server.started)
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()
