"""The application as ASGI sees it: lifespan, and the door for everything else."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, TypeAlias

import structlog

from gateway.company import Company
from gateway.metrics import Metrics
from gateway.parts import create_embedded_database
from gateway.settings import Settings
from gateway.web.control import PUBLIC_PATHS, make_control_application
from gateway.web.front import Front
from gateway.web.limits import Receive, Scope, Send
from gateway.web.services import Services
from gateway.wiring import open_services
from gateway.witness import CrashMemory
from registry.errors import ServiceError

if TYPE_CHECKING:
    from gateway.rpc.server import RpcServer

StandBy: TypeAlias = Callable[[], Awaitable[Company]]
"""Returns when a worker is to serve, and then who answers until it does."""


async def serve_at_once() -> Company:
    """Stand by for nothing, where nobody else answers."""
    return Company.NOBODY


class Application:
    """An ASGI application that makes everything at startup and ends it at shutdown.

    Args:
        settings: of this process.
        is_worker: False for a command that only borrows the application for a moment: nothing is followed, reported
            or logged.
        metrics: where to count, if siblings shall see it.
        crash_memory: where to note what is run, if a supervisor reads it.
        ask_to_be_replaced: see ``open_services``.
        stand_by: of a worker, which has made everything then, and starts it afterwards.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        is_worker: bool = True,
        metrics: Metrics | None = None,
        crash_memory: CrashMemory | None = None,
        ask_to_be_replaced: Callable[[], None] = lambda: None,
        stand_by: StandBy = serve_at_once,
    ) -> None:
        self._settings = settings
        self._ask_to_be_replaced = ask_to_be_replaced
        self._stand_by = stand_by
        self._metrics = metrics
        self._crash_memory = crash_memory
        self._is_worker = is_worker
        self._opened = AsyncExitStack()
        self.front: Front | None = None
        """None before startup and after shutdown."""
        self._rpc: RpcServer | None = None
        self._stop_telling: Callable[[], None] = lambda: None
        self._leave: Callable[[], None] = lambda: None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one request, or follow the server's life."""
        if scope["type"] == "http" and self.front is not None:
            return self.front(scope, receive, send)
        return self._live(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            raise RuntimeError(f"the application takes no {scope['type']} before it is started")
        await receive()
        try:
            await self._start()
        except Exception as error:
            if not isinstance(error, ServiceError):
                structlog.get_logger().exception("not_started")
            await self._opened.aclose()
            await send({"type": "lifespan.startup.failed", "message": type(error).__name__})
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.front = None
        await self._opened.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self) -> None:
        if not self._is_worker:
            create_embedded_database(self._settings)
        services, begin = await self._opened.enter_async_context(
            open_services(
                self._settings,
                is_worker=self._is_worker,
                metrics=self._metrics,
                crash_memory=self._crash_memory,
                ask_to_be_replaced=self._ask_to_be_replaced,
            )
        )
        if not self._is_worker:
            # A worker waits until the schema is right; a command says that it is wrong.
            services.registry.check_schema()
        self._stop_telling, self._leave = services.stop_telling, services.leaving.set
        # A command that borrows the application acts on the registry itself, whatever is served on this machine.
        role = self._settings.role if self._is_worker else "all"
        front = Front(services, make_control_application(services), public_paths=PUBLIC_PATHS, role=role)
        if self._is_worker:
            if self._settings.grpc_port and self._settings.is_predicting:
                self._make_rpc(services)
            await begin(await self._stand_by())
            if self._rpc is not None:
                await self._rpc.start()
        self.front = front

    def _make_rpc(self, services: Services) -> None:
        from gateway.rpc.server import RpcServer  # no other process pays for the library

        self._rpc = RpcServer(services, self._settings.host, self._settings.grpc_port)
        self._opened.push_async_callback(self._rpc.close)

    def begin_to_leave(self) -> None:
        """Go on answering, but say that this worker is not ready."""
        self._leave()

    def begin_to_stop(self, grace_seconds: float) -> None:
        """Take no more calls over gRPC and tell webhooks nothing more; HTTP's own server knows by itself."""
        self._stop_telling()
        if self._rpc is not None:
            self._rpc.begin_to_stop(grace_seconds)
