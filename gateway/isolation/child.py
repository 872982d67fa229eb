"""The programs of an isolated version: an origin, which loads its model, and the forks of it, which run it.

1. The origin confines itself as inspection does, loads the model and runs nothing. It forks when it is told to: a child
   is there in milliseconds, however long the model takes to load, and shares memory with the others until it writes.
2. A fork is a child of the worker (``registry.inspection.siblings``), in a session of its own. It has one socket for
   requests and answers, and one on which it is told to stop a run.
3. Where this process cannot be forked, it serves by itself, once.
4. What a run takes from the system is what it asks for: one that has found no memory leaves the next as much as ever.
5. A request says how long it may take. A thread stops the run then; the processor time that it may take bites where the
   runtime does not listen, and the worker kills what is still there.
"""

import os
import resource
import select
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final, NoReturn

from gateway.isolation.frames import FORK, NUMBER_BYTES, READY, REFUSED, BrokenFrameError, receive, send
from gateway.serving.runtime import Array, Cancellation, Session
from registry.errors import LoadFailed, ModelOutOfMemory, ServiceError
from registry.inspection.confinement import confine, die_with, forbid_processes, shut_in
from registry.inspection.limits import ChildLimits
from registry.inspection.process_filter import filter_calls
from registry.inspection.siblings import fork_sibling, is_possible
from registry.inspection.trial import draw_anew
from registry.values import bytes_of

_GRACE_CPU_SECONDS: Final = 2
_LOOK_MILLISECONDS: Final = 50


def main(orders: dict[str, Any], **_orders: object) -> None:
    """Be an origin as ordered by ``gateway.isolation.origin``; it answers requests, and stands back behind nobody."""
    confine(ChildLimits(**orders["limits"]), orders["parent_pid"], has_low_priority=True, is_to_fork=True)
    shut_in(read=[Path()])
    os.set_blocking(sys.stderr.fileno(), False)  # nobody reads before the end: a full pipe must not hold a run
    channel = socket.socket(fileno=orders["examples"])
    try:
        session = Session.load(Path(orders["graph"]), prepared_bytes=orders["prepared_bytes"], takes_exactly=True)
    except LoadFailed:
        channel.send(REFUSED)
        return
    channel.send(READY)
    while True:
        order, descriptors, _, _ = socket.recv_fds(channel, len(FORK), 2)
        if not order:
            return
        if not is_possible() or fork_sibling() == 0:
            channel.close()
            _be_child(session, orders, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _be_child(session: Session, orders: dict[str, Any], data: int, control: int) -> NoReturn:
    status = 1
    try:
        if os.getpid() != os.getpgid(0):
            os.setsid()
        die_with(orders["parent_pid"])
        filter_calls()
        draw_anew()
        serve = _Serving(session, socket.socket(fileno=data), socket.socket(fileno=control), orders["most_bytes"])
        forbid_processes()
        serve.run()
        status = 0
    finally:
        os._exit(status)


class _Serving:
    """Answers requests, one after the other, until the worker goes."""

    def __init__(self, session: Session, data: socket.socket, control: socket.socket, most_bytes: int) -> None:
        self._session = session
        self._data = data
        self._control = control
        self._most_bytes = most_bytes
        self._running: tuple[int, float, Cancellation] | None = None
        threading.Thread(target=self._keep_deadlines, daemon=True, name="deadlines").start()

    def run(self) -> None:
        self._data.sendall(os.getpid().to_bytes(NUMBER_BYTES, sys.byteorder))
        while True:
            try:
                words, values = receive(self._data, most_bytes=self._most_bytes)
            except BrokenFrameError:
                return
            feed = dict(zip(words["inputs"], values, strict=True))
            del values
            _limit_cpu(words["seconds"])
            self._answer(words, feed)
            del feed

    def _answer(self, words: dict[str, Any], feed: dict[str, Any]) -> None:
        cancellation = Cancellation()
        self._running = words["number"], time.monotonic() + words["seconds"], cancellation
        try:
            arrays = self._run(words["outputs"], feed, cancellation)
        except ServiceError as error:
            send(self._data, {"error": type(error).__name__, "detail": error.detail}, [])
        except MemoryError:
            send(self._data, {"error": "ModelOutOfMemory", "detail": "there was not enough memory for the run"}, [])
        else:
            try:
                send(self._data, {"error": None}, arrays)
            except (UnicodeEncodeError, TypeError):
                send(self._data, {"error": "OutputNotText", "detail": "an output of the model is not UTF-8 text"}, [])
        finally:
            self._running = None

    def _run(self, outputs: list[str], feed: dict[str, Any], cancellation: Cancellation) -> list[Array]:
        arrays = self._session.run(outputs, feed, cancellation)
        if sum(map(bytes_of, arrays)) > self._most_bytes:
            raise ModelOutOfMemory("the run took more memory than a run may")
        return arrays

    def _keep_deadlines(self) -> None:
        """Stop runs that the worker wants no more, or that have had their time; the worker's end is this process's."""
        waiting = select.poll()
        waiting.register(self._control, select.POLLIN)
        while True:
            unwanted = 0
            if waiting.poll(_LOOK_MILLISECONDS):
                told = self._control.recv(NUMBER_BYTES)
                if not told:
                    os.kill(os.getpid(), signal.SIGKILL)
                unwanted = int.from_bytes(told, sys.byteorder)
            running = self._running
            if running is not None and (running[0] == unwanted or time.monotonic() >= running[1]):
                running[2].cancel()


def _limit_cpu(seconds: float) -> None:
    used = time.process_time()
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(used + seconds + _GRACE_CPU_SECONDS) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))
