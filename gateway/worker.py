"""One worker: an event loop, the application, and the socket that it inherited."""

import argparse
import ctypes
import gc
import os
import signal
import socket
import sys

import uvicorn

from gateway.app import Application
from gateway.metrics import Metrics
from gateway.settings import load_settings
from gateway.shared_counts import Board
from gateway.telemetry import configure_logs
from gateway.web.fast_path import PredictProtocol

_DRAIN_SECONDS = 30
_KEEP_ALIVE_SECONDS = 75
_PR_SET_PDEATHSIG = 1
_ALLOCATIONS_BETWEEN_COLLECTIONS = 10_000


def main() -> None:
    """Serve on the socket whose descriptor is given, until SIGTERM; exit with 3 if the application cannot start."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--socket", type=int, required=True, help="descriptor of the listening socket")
    arguments.add_argument("--supervisor", type=int, required=True, help="process id of the supervisor")
    arguments.add_argument(
        "--boards", type=_boards, required=True, help="descriptors of all workers' counts, as k:n,k:n"
    )
    arguments.add_argument("--board", type=int, required=True, help="which of them is this worker's")
    asked = arguments.parse_args()
    _die_with_supervisor(asked.supervisor)
    settings = load_settings()
    configure_logs(settings.log_level)
    config = uvicorn.Config(
        Application(settings, metrics=Metrics(asked.boards, asked.board)),
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
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=asked.socket)])


def _boards(text: str) -> list[Board]:
    return [Board(*map(int, pair.split(":"))) for pair in text.split(",")]


def _calm_garbage_collector() -> None:
    """Leave what was imported alone, and look for cycles after more allocations than one request makes."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS_BETWEEN_COLLECTIONS, 20, 20)


def _die_with_supervisor(supervisor: int) -> None:
    """Have the kernel end this worker when its supervisor is killed; where it cannot, the worker is merely orphaned."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor:
        sys.exit(0)


if __name__ == "__main__":
    main()
