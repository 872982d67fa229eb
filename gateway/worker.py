"""One worker: an event loop, the application, and the socket that it inherited.

SIGTERM ends it: what has begun is finished. Where there is a time for it (``SARDONYX_DRAIN_SECONDS``), it goes on
before that as one that is not ready, and longer while anything is under way; each connection ends with the next answer
on it. SIGUSR1 ends it too, when a successor serves already, and more gently: it takes no new connection, each one that
it has ends with the next answer on it, and those on which none is asked for are closed after a while.
"""

import argparse
import asyncio
import faulthandler
import gc
import math
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from time import monotonic
from types import FrameType
from typing import Any

import uvicorn

from gateway.app import Application, StandBy
from gateway.bell import READY, REPLACE_ME, ring
from gateway.company import Company
from gateway.evidence import Evidence
from gateway.host import die_with_supervisor, keep_little_free_memory
from gateway.ledger import Ledger
from gateway.listener import Listener
from gateway.metrics import Metrics
from gateway.serving.readings import connection_readings
from gateway.settings import Settings, load_settings
from gateway.shared_counts import Board
from gateway.telemetry import configure_logs
from gateway.web.crowd import Crowd, most_connections
from gateway.web.fair_share import FairShare
from gateway.web.fast_path import PredictProtocol
from gateway.web.http_protocol import LAST_ANSWER
from gateway.witness import CrashMemory
from gateway.worker_deaths import lines_of_deaths

_DRAIN_SECONDS = 30
_KEEP_ALIVE_SECONDS = 75
_LETTING_GO_SECONDS = 15.0
_TICKS_BETWEEN_LOOKS = 5
_ALLOCATIONS_BETWEEN_COLLECTIONS = 10_000
_SWITCH_SECONDS = 0.0005
"""How long the event loop waits for a thread in the middle of a load; by itself Python lets it wait for 5 ms."""


def parse_orders() -> argparse.Namespace:
    """Return what the supervisor has ordered, the same for every worker."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--orders", type=int, required=True, help="descriptor on which places are told")
    arguments.add_argument("--socket", type=int, required=True, help="descriptor of the listening socket")
    arguments.add_argument("--supervisor", type=int, required=True, help="process id of the supervisor")
    arguments.add_argument("--bell", type=int, required=True, help="descriptor on which the supervisor listens")
    arguments.add_argument(
        "--boards",
        type=_boards,
        required=True,
        help="descriptors of all workers' and the supervisor's counts, as k:n,k:n",
    )
    arguments.add_argument(
        "--ledgers", type=_ledgers, required=True, help="descriptors of all workers' ledgers, as boards"
    )
    arguments.add_argument("--evidence", type=_evidence, required=True, help="descriptors of what they share, as w:a:t")
    return arguments.parse_args()


def main(asked: argparse.Namespace, place: int, stand_by: StandBy) -> None:
    """Serve until SIGTERM; exit with 3 if the application cannot start.

    Args:
        asked: of ``parse_orders``.
        place: which of the boards and ledgers are this worker's.
        stand_by: see ``gateway.app.Application``.
    """
    die_with_supervisor(asked.supervisor)
    faulthandler.enable(asked.evidence.words)  # all threads: only then it names the one that crashed
    keep_little_free_memory()
    sys.setswitchinterval(_SWITCH_SECONDS)
    settings = load_settings()
    configure_logs(settings.log_level)
    metrics = Metrics(asked.boards, place)
    metrics.show(lines_of_deaths)
    application = Application(
        settings,
        metrics=metrics,
        crash_memory=CrashMemory(ledgers=asked.ledgers, place=place, evidence=asked.evidence),
        ask_to_be_replaced=partial(ring, asked.bell, REPLACE_ME),
        stand_by=lambda: _stand_by(stand_by, server),
    )
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http=PredictProtocol,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    _calm_garbage_collector()
    server = _Server(config, application, settings, metrics, ready=partial(ring, asked.bell, READY))
    server.run(sockets=[socket.socket(fileno=asked.socket)])


class _Server(uvicorn.Server):
    """uvicorn's, which says when it serves and can let go of its connections one by one."""

    def __init__(
        self,
        config: uvicorn.Config,
        application: Application,
        settings: Settings,
        metrics: Metrics,
        *,
        ready: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._application = application
        self._workers = settings.workers
        self._drain_seconds = settings.drain_seconds
        self._most_connections = most_connections(settings.max_connections)
        self._ready = ready
        self._leaves_at = math.inf
        self._is_letting_go = self._is_leaving = self._is_leaving_known = self._has_said_last = False
        self._fair_share = FairShare(lambda: self.server_state.connections, metrics.connections_of_all)  # type: ignore[arg-type,return-value]
        metrics.watch(lambda: connection_readings(self._fair_share.in_use))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End; but where proxies are to notice first, go on for a while as one that is not ready."""
        if self._drain_seconds and self.started and not self._is_leaving:
            self._is_leaving = True  # the next tick sees it
        else:
            if not self.started:
                self._application.begin_to_leave()  # nothing more is loaded for callers that will not come
            super().handle_exit(sig, frame)

    def _leave(self) -> None:
        self._is_leaving_known = True
        self._application.begin_to_leave()
        self._say_last_answers()
        self._leaves_at = monotonic() + self._drain_seconds

    def _has_left(self) -> bool:
        """Tell whether a drain is over: nothing is under way any more, or has been for too long.

        Until then connections are taken. A proxy that finds nobody there takes the gateway for gone, and may end what
        it still asks of it.
        """
        late = monotonic() - self._leaves_at
        connections: Any = self.server_state.connections
        return late > _DRAIN_SECONDS or (late > 0 and all(one.waits_since is not None for one in connections))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        await super().startup(sockets=[])
        crowd = Crowd(lambda: self.server_state.connections, self._most_connections)  # type: ignore[arg-type,return-value]
        self.servers: Any = [
            Listener(one, self._make_protocol, self._workers, crowd.make_room) for one in sockets or ()
        ]
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._let_go)
        self._fair_share.begin()
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End; a connection that is just being opened is told so as well."""
        self._fair_share.end()
        # What a drain has taken beyond its time is taken from here: the supervisor waits for both together.
        late = max(0.0, monotonic() - self._leaves_at) if self._is_leaving else 0.0
        rest = max(1, math.ceil(_DRAIN_SECONDS - late))
        self.config.timeout_graceful_shutdown = rest
        self._application.begin_to_stop(rest)
        for server in self.servers:
            server.close()
            await server.wait_closed()
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Return whether to end; called ten times a second."""
        is_over = await super().on_tick(counter)
        if self._is_leaving and not self._is_leaving_known:
            self._leave()
        self.should_exit = self.should_exit or self._has_left()
        # With many connections a look takes longer, and chance spreads them well enough.
        if counter % (_TICKS_BETWEEN_LOOKS + len(self.server_state.connections) // 100) == 0:
            self._even_out()
        return is_over or (self._is_letting_go and not self.server_state.connections)

    def _even_out(self) -> None:
        if self._fair_share.even_out():
            for server in self.servers:
                server.rest()

    def _make_protocol(self) -> PredictProtocol:
        return PredictProtocol(self.config, self.server_state, self.lifespan.state)

    def _let_go(self) -> None:
        self._fair_share.end()
        self._application.begin_to_stop(_LETTING_GO_SECONDS)
        for server in self.servers:
            server.close()
        self._say_last_answers()
        self._is_letting_go = True
        asyncio.get_running_loop().call_later(_LETTING_GO_SECONDS, partial(setattr, self, "should_exit", True))

    def _say_last_answers(self) -> None:
        """Have each connection end with the next answer on it."""
        if not self._has_said_last:
            self._has_said_last = True
            self.config.encoded_headers = [*self.config.encoded_headers, LAST_ANSWER]
            self.server_state.default_headers = [*self.server_state.default_headers, LAST_ANSWER]


async def _stand_by(stand_by: StandBy, server: uvicorn.Server) -> Company:
    """Stand by as a process that SIGTERM ends at once, also where it has come before: there is nothing to finish."""
    ends_gently = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if server.should_exit:
        signal.raise_signal(signal.SIGTERM)
    company = await stand_by()
    signal.signal(signal.SIGTERM, ends_gently)
    return company


def _boards(text: str) -> list[Board]:
    return [Board(*map(int, pair.split(":"))) for pair in text.split(",")]


def _ledgers(text: str) -> list[Ledger]:
    return [Ledger(*map(int, pair.split(":"))) for pair in text.split(",")]


def _evidence(text: str) -> Evidence:
    return Evidence(*map(int, text.split(":")))


def _calm_garbage_collector() -> None:
    """Leave what was imported alone, and look for cycles after more allocations than one request makes."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS_BETWEEN_COLLECTIONS, 20, 20)
