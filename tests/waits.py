"""What is waited for, and for how long: every wait has a limit (invariant A7), and stands here.

``LIMITS`` has the limits that are written into the code; ``UNLIMITED`` the calls that wait without one of their own,
each with what ends it. ``tests/house/test_waits.py`` holds both against the code.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Limit:
    """A wait, where its limit is written, and the limit."""

    wait: str
    module: str
    name: str
    """A constant, or a field's default as ``Class.field``."""
    seconds: float


LIMITS: Final = (
    Limit("for a lock, a connection or an answer of the database", "registry.sql.engine", "BUSY_TIMEOUT_SECONDS", 5),
    Limit("for a database that restarts", "registry.sql.patience", "_SECONDS", 2),
    Limit("for a connection to S3", "model_store.s3.client", "Patience.connect_seconds", 2),
    Limit("for an answer of S3, three times", "model_store.s3.client", "Patience.answer_seconds", 30),
    Limit(
        "for the next bytes that are read from S3, or to hear what is there, three times",
        "model_store.s3.client",
        "Patience.read_seconds",
        7,
    ),
    Limit("for the store's sign of life", "gateway.serving.store_watch", "_PATIENCE_SECONDS", 5),
    Limit(
        "for an answer to a predict request, its load and its turn included",
        "gateway.settings",
        "Settings.predict_timeout_seconds",
        30,
    ),
    Limit(
        "for its share of what others are asked for, by a gateway that begins",
        "gateway.serving.inheritance",
        "SHARE_SECONDS",
        20,
    ),
    Limit("for a load that nobody asked for: preloads, pins, promotions", "gateway.first_loads", "LOAD_SECONDS", 60),
    Limit("for a load by request", "gateway.web.open_inference_repository", "_LOAD_SECONDS", 60),
    Limit("for a pinned version", "gateway.serving.pins", "_LOAD_SECONDS", 60),
    Limit("between two tries of what does not load", "gateway.serving.load_failures", "MAX_BACKOFF_SECONDS", 300),
    Limit(
        "of an inspection, wall time and turn, for a small file",
        "registry.inspection.limits",
        "ChildLimits.wall_seconds",
        60,
    ),
    Limit(
        "of an inspection, processor time, for a small file",
        "registry.inspection.limits",
        "ChildLimits.cpu_seconds",
        20,
    ),
    Limit("for a thread of the control plane", "gateway.web.services", "_PATIENCE_SECONDS", 30),
    Limit("for a turn to register or to promote", "gateway.web.services", "_LONG_PATIENCE_SECONDS", 120),
    Limit("of a writer for its own change to be followed", "gateway.web.services", "_CATCH_UP_SECONDS", 5),
    Limit("for the head of a request that has begun", "gateway.web.patience", "HEAD_SECONDS", 10),
    Limit("for 4 KiB more of a body, or of an answer to be taken", "gateway.web.patience", "PAUSE_SECONDS", 30),
    Limit("for the next request on a connection", "gateway.worker", "_KEEP_ALIVE_SECONDS", 75),
    Limit("for proxies to notice that a worker is about to end", "gateway.settings", "Settings.drain_seconds", 0),
    Limit("for what has begun when a worker ends", "gateway.worker", "_DRAIN_SECONDS", 30),
    Limit("for a worker that ends, then it is killed", "gateway.supervisor", "_DRAIN_SECONDS", 35),
    Limit("for connections to go over to a successor", "gateway.worker", "_LETTING_GO_SECONDS", 15),
    Limit("for a successor to serve", "gateway.replacement", "_START_SECONDS", 120),
    Limit("for a worker that stands by to be made", "gateway.standby", "_MAKING_SECONDS", 60),
    Limit("for a forerunner to fork a worker, then it is replaced", "gateway.worker_forks", "_ANSWER_SECONDS", 5),
    Limit(
        "for an isolated version to be loaded by its process", "gateway.isolation.origin", "Allowance.load_seconds", 60
    ),
    Limit("for a child of an isolated version to be there", "gateway.isolation.origin", "_BIRTH_SECONDS", 10),
    Limit("for such a child to take a request, or to send an answer", "gateway.isolation.origin", "_TALK_SECONDS", 30),
    Limit(
        "for its run to end that has been told to, then it is killed (a worker that stands still does not count that)",
        "gateway.isolation.origin",
        "GRACE_SECONDS",
        0.5,
    ),
    Limit("for a shadow to be loaded", "gateway.serving.shadowing", "_LOAD_SECONDS", 20),
    Limit("for a shadow's run", "gateway.serving.shadowing", "_RUN_SECONDS", 10),
    Limit("for events by a caller that listens", "gateway.web.feed", "LIVE_SECONDS", 15),
    Limit("for the addresses of a webhook's host", "gateway.webhooks.addresses", "LOOK_UP_SECONDS", 3),
    Limit("for a webhook's receiver to be connected to", "gateway.webhooks.sending", "CONNECT_SECONDS", 3),
    Limit("for a webhook's receiver to take an event, in all", "gateway.webhooks.sending", "WHOLE_SECONDS", 8),
    Limit("for a dead worker's turn to tell webhooks", "gateway.webhooks.delivering", "LEASE_SECONDS", 15),
)

UNLIMITED: Final[dict[str, str]] = {
    # nobody waits for these: they are what a task or a thread does between two pieces of work
    "gateway/serving/pins.py::_go_on": "a task that sleeps until something has changed, and is cancelled",
    "gateway/serving/shadowing.py::_wait": "a task that sleeps until there are copies, and is cancelled",
    "gateway/serving/shadowing.py::_keep_flushing": "within asyncio.timeout, until the worker ends",
    "gateway/serving/change_feed.py::_follow": "within asyncio.timeout: the next reading of the feed",
    "registry/inspection/watchdog.py::_run": "a daemon thread that sleeps until there is work to watch",
    "registry/inspection/host.py::can_start_threads": "threads that are ended before it returns",
    "registry/inspection/forks.py::_keep": "a daemon thread that sleeps until a forerunner is wanted",
    "registry/inspection/forks.py::wait": "of that thread, for a forerunner, which ends when it is idle or killed",
    "gateway/serving/isolated.py::next": "a thread that sleeps until somebody is in its line, or it is closed",
    "gateway/worker_forks.py::end": "for a forerunner that has just been killed",
    # these wait for work that has a limit of its own
    "gateway/isolation/session.py::close": "for its thread: a killed run, or a load of a minute",
    "gateway/listener.py::wait_closed": "for connections that have been taken, to get their protocols",
    "gateway/rpc/inference.py::stream": "for the client's next message: an idle connection is closed by keepalive",
    "gateway/serving/change_feed.py::catch_up": "for one try to apply events; its callers wait 5 seconds",
    "gateway/serving/routing.py::_refresh": "for a later switch of the same alias, which loads within a minute",
    "gateway/serving/session_cache.py::drain": "for leases, whose runs have deadlines, when the worker ends",
    "gateway/serving/deadlines.py::close": "for the watchdog's thread, which looks every 50 ms",
    "gateway/web/predict.py::_until_gone": "for a run with a deadline, or for the client to leave",
    "gateway/cli/local_transport.py::start": "of a command in its own process, which its user can end",
    "gateway/cli/local_transport.py::_receive": "of a command in its own process, which its user can end",
    "model_store/locks.py::share": "for who puts, fetches or removes a file, within S3's limits, or is dead",
    "model_store/locks.py::exclude": "for who puts, fetches or removes a file, within S3's limits, or is dead",
    "registry/inspection/forks.py::_another": "for a process to be started, or not",
    # these wait for processes that have been killed, or have ended
    "gateway/isolation/origin.py::_wait": "for a process that has been killed",
    "gateway/supervisor.py::_attend_upgrade": "for the words of a process that has ended",
    "gateway/supervisor.py::_drain": "for a process that has been killed, after 35 seconds for itself",
    "registry/inspection/children.py::run": "for a process that has been killed",
}


def unlimited_waits(root: Path, packages: tuple[str, ...]) -> Iterator[str]:
    """Yield each function that calls something which may wait for ever, as ``path::function``."""
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for function in ast.walk(tree):
                if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                    for node in ast.walk(function):
                        if isinstance(node, ast.Call) and _may_wait_for_ever(node):
                            yield f"{path.relative_to(root)}::{function.name}"


_WITHOUT_ARGUMENTS: Final = frozenset({"wait", "join", "acquire", "get", "communicate"})
"""Of threads, locks, queues and processes: an argument would be the limit; strings join something."""


def _may_wait_for_ever(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute):
        return False
    name = call.func.attr
    given = {keyword.arg for keyword in call.keywords}
    if "timeout" in given:
        return False
    words = ast.unparse(call)
    if words.startswith("asyncio.wait("):
        return True
    if name == "flock":
        return "LOCK_NB" not in words and "LOCK_UN" not in words
    if name in {"waitpid", "waitid"}:
        return "WNOHANG" not in words
    return name in _WITHOUT_ARGUMENTS and not call.args
