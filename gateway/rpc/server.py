"""The gRPC server of one worker: workers share the port, and each has its connections to itself.

1. Whether a message is read at once is decided by its metadata: a stranger's waits until the token has been looked at.
2. Messages, metadata, streams and connections are bounded. A compressed message counts as what it inflates to.
3. At the end it takes no new call, and those that have begun are finished; what has not within the grace is cancelled.
"""

import asyncio
import logging
from typing import Any, Final

import grpc  # type: ignore[import-untyped]  # it ships no types
from grpc import aio

from gateway.rpc.calls import Calls
from gateway.rpc.inference import Inference
from gateway.rpc.management import METHODS, Management
from gateway.rpc.schema import PACKAGE, SERVICE
from gateway.web.services import Services

_BESIDE_TENSORS_BYTES: Final = 64 * 1024
"""So much longer than a body may a message be."""
_MOST_METADATA_BYTES: Final = 16 * 1024
_MOST_STREAMS: Final = 256
"""Calls on one connection at the same time; more wait at the client."""
_MOST_CALLS: Final = 1024
_MOST_CONNECTIONS: Final = 1024
_MOST_IDLE_MS: Final = 300_000
"""A connection without calls goes then, so that idle ones do not take all that there can be; clients make another."""
_KEEP_ALIVE_MS: Final = 60_000
_KEEP_ALIVE_TIMEOUT_MS: Final = 20_000
_SHORTEST_PING_MS: Final = 10_000


class RpcServer:
    """Serves on a port that other workers serve on too.

    Args:
        services: what it works with.
        host: to listen at.
        port: as above.
    """

    def __init__(self, services: Services, host: str, port: int) -> None:
        self._calls = Calls(services)
        self._inference = Inference(services, self._calls)
        self._address = f"{_numeric(host)}:{port}"
        self._server = aio.server(
            options=_options(services.settings.max_body_bytes), maximum_concurrent_rpcs=_MOST_CALLS
        )
        management = Management(services, self._calls)
        self._server.add_generic_rpc_handlers((_Handlers(self._calls, self._inference, management),))
        self._stopping: asyncio.Task[None] | None = None
        logging.getLogger("grpc._cython.cygrpc").addFilter(_is_news)

    async def start(self) -> None:
        """Begin to serve.

        Raises:
            RuntimeError: it cannot listen there.
        """
        self._server.add_insecure_port(self._address)
        await self._server.start()

    def begin_to_stop(self, grace_seconds: float) -> None:
        """Take no more calls; whoever is still at it after the grace is cut off."""
        if self._stopping is None:
            self._inference.end_streams()
            self._stopping = asyncio.get_running_loop().create_task(self._server.stop(grace_seconds))

    async def close(self) -> None:
        """Return when every call has ended."""
        self.begin_to_stop(0.0)
        if self._stopping is not None:
            await self._stopping


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # it has no types
    def __init__(self, calls: Calls, inference: Inference, management: Management) -> None:
        self._calls = calls
        self._infer = grpc.unary_unary_rpc_method_handler(inference.infer)
        self._infer_unread = grpc.stream_unary_rpc_method_handler(inference.infer_unread)
        self._others = {_path(name): _unread(management.handler(name)) for name in METHODS}
        self._others[_path("ModelStreamInfer")] = grpc.stream_stream_rpc_method_handler(inference.stream)
        self._infer_path = _path("ModelInfer")

    def service(self, handler_call_details: Any) -> Any:
        """Return what answers a call, None if there is no such method."""
        if handler_call_details.method != self._infer_path:
            return self._others.get(handler_call_details.method)
        is_known = self._calls.is_known(handler_call_details.invocation_metadata)
        return self._infer if is_known else self._infer_unread


def _is_news(record: logging.LogRecord) -> bool:
    """Return False for an answer that could not be sent: its caller has gone, which the library takes for an error."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or kind.__name__ != "ExecuteBatchError"


def _unread(answer: Any) -> Any:
    """Return the handler of a call with one message, which the server is not to read by itself."""
    return grpc.stream_unary_rpc_method_handler(answer)


def _path(method: str) -> str:
    return f"/{PACKAGE}.{SERVICE}/{method}"


def _options(max_body_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 1),
        ("grpc.max_receive_message_length", max_body_bytes + _BESIDE_TENSORS_BYTES),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", _MOST_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", _MOST_METADATA_BYTES),
        ("grpc.max_concurrent_streams", _MOST_STREAMS),
        ("grpc.max_allowed_incoming_connections", _MOST_CONNECTIONS),
        ("grpc.max_connection_idle_ms", _MOST_IDLE_MS),
        ("grpc.keepalive_time_ms", _KEEP_ALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEP_ALIVE_TIMEOUT_MS),
        ("grpc.http2.min_ping_interval_without_data_ms", _SHORTEST_PING_MS),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


def _numeric(host: str) -> str:
    """Return an address as the library writes it; a name would mean each of its addresses."""
    bare = host.strip("[]")
    return f"[{bare}]" if ":" in bare else "127.0.0.1" if bare == "localhost" else bare
