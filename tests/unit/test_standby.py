"""The worker that stands by, by real processes that speak as a forerunner and its forks do."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from gateway.company import Company
from gateway.replacement import Worker
from gateway.standby import Standby
from gateway.worker_forks import Process, WorkerForks
from tests.support.gateway_process import wait_until

BEGIN = """
import os, signal, socket, sys
from registry.inspection.siblings import fork_sibling
channel = socket.socket(fileno=int(sys.argv[1]))
channel.sendall(b"ready")
while True:
    said, descriptors, _, _ = socket.recv_fds(channel, 8, 1)
    if not said:
        sys.exit()
    told = socket.socket(fileno=descriptors[0])
    if fork_sibling() == 0:
        break
    told.close()
channel.close()
told.sendall(os.getpid().to_bytes(8, "big"))
told.recv(2)
"""
WORKER = (
    BEGIN
    + """
try:
    told.sendall(b"md")
    word = told.recv(2)
except (BrokenPipeError, ConnectionResetError):
    word = told.recv(2)
with open(sys.argv[2], "ab") as heard:
    heard.write(word + b" %d\\n" % int.from_bytes(said, "big"))
signal.pause()
"""
)
NEVER_MADE = BEGIN + "signal.pause()"
DYING = BEGIN + "os._exit(3)"
SILENT = BEGIN.replace("while True:", "while True:\n    signal.pause()")


class Gateway:
    """What a supervisor has of it, with three places, and where workers write down what they have heard."""

    def __init__(self, folder: Path, program: str) -> None:
        self._heard = folder / "heard"
        self._heard.touch()
        self._program = program
        self.forerunners: list[subprocess.Popen[bytes]] = []
        self.forks = WorkerForks(self._start)
        self.standby = Standby(self.forks, 3)
        self.workers: list[Process] = []
        wait_until(self.can_fork)

    def can_fork(self) -> bool:
        self.forks.attend(time.monotonic())
        return self.forks._serving is not None

    def _start(self, orders: int, _more: Sequence[str]) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", self._program, str(orders), str(self._heard)]
        self.forerunners.append(subprocess.Popen(command, pass_fds=(orders,)))
        return self.forerunners[-1]

    def heard(self, count: int) -> list[str]:
        wait_until(lambda: len(self._heard.read_text().splitlines()) == count)
        return self._heard.read_text().splitlines()

    def look(self, *taken: int, now: float = 0.0, is_anyone_missing: bool = False) -> Process | None:
        """Attend once, and return who stands by then."""
        self.standby.attend(taken, now, is_anyone_missing=is_anyone_missing)
        return None if self.standby._fork is None else self.standby._fork.process

    def made(self, *taken: int, now: float = 0.0) -> Process:
        """Attend once, and wait until whoever stands by then is ready."""
        process = self.look(*taken, now=now)
        assert process is not None
        wait_until(lambda: self.standby._fork is not None and self.standby._fork.is_made())
        return process

    def take(self, *taken: int, company: Company = Company.NOBODY) -> Worker:
        worker = self.standby.take(taken, 0.0, company)
        assert worker is not None
        self.workers.append(worker.process)
        return worker

    def close(self) -> None:
        self.standby.close()
        self.forks.close()
        for worker in self.workers:
            worker.kill()
            worker.wait()


def kill(process: Process) -> None:
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it can be waited for, and nobody has yet


@pytest.fixture
def gateways(tmp_path: Path) -> Iterator[Callable[[str], Gateway]]:
    made: list[Gateway] = []

    def make(program: str) -> Gateway:
        made.append(Gateway(tmp_path, program))
        return made[-1]

    yield make
    for gateway in made:
        gateway.close()


@pytest.fixture
def gateway(gateways: Callable[[str], Gateway]) -> Gateway:
    return gateways(WORKER)


@pytest.mark.parametrize("company", list(Company), ids=[company.name for company in Company])
def test_whoever_stands_by_serves_in_the_place_that_was_free(gateway: Gateway, company: Company) -> None:
    process = gateway.made(0, 2)
    worker = gateway.take(0, 2, company=company)
    assert (worker.process, worker.place, gateway.heard(1)) == (process, 1, [f"{company.value.decode()} 1"])


def test_one_that_is_told_before_it_is_ready_serves_when_it_is(gateway: Gateway) -> None:
    process = gateway.look()
    assert (gateway.take().process, gateway.heard(1)) == (process, ["sa 0"])


def test_where_nobody_stands_by_a_worker_is_made(gateway: Gateway) -> None:
    worker = gateway.take()
    assert (worker.place, gateway.heard(1), worker.is_ready) == (0, ["sa 0"], False)


def test_the_next_one_is_not_made_before_nobody_is_missing(gateway: Gateway) -> None:
    gateway.made()
    worker = gateway.take()
    assert gateway.look(worker.place, is_anyone_missing=True) is None
    assert gateway.look(worker.place) not in (None, worker.process)


def test_one_that_is_dead_is_not_taken(gateway: Gateway) -> None:
    process = gateway.made()
    kill(process)
    worker = gateway.take()
    assert (worker.process is not process, worker.process.poll(), gateway.heard(1)) == (True, None, ["sa 0"])


def test_one_that_dies_is_made_again_after_a_second(gateway: Gateway) -> None:
    kill(gateway.made(now=10.0))
    assert [gateway.look(now=now) for now in (11.0, 11.9)] == [None, None]
    assert gateway.look(now=12.0) is not None


def test_those_that_die_before_they_are_ready_are_made_ever_more_slowly(gateways: Callable[[str], Gateway]) -> None:
    gateway, now, pauses = gateways(DYING), 0.0, []
    for _ in range(8):
        process = gateway.look(now=now)
        assert process is not None
        wait_until(lambda process=process: process.poll() is not None)  # type: ignore[misc]
        assert gateway.look(now=now) is None
        began, now = now, gateway.standby._makes_at
        pauses.append(now - began)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_one_that_is_not_ready_within_a_minute_is_given_up(gateways: Callable[[str], Gateway]) -> None:
    gateway = gateways(NEVER_MADE)
    process = gateway.look()
    assert process is not None
    assert (gateway.look(now=60.0), gateway.look(now=60.1)) == (process, None)
    assert process.wait(60) == -signal.SIGKILL  # it may end later than it is let go


def test_one_of_a_forerunner_that_was_replaced_is_replaced_as_well(gateway: Gateway) -> None:
    process = gateway.made()
    gateway.forks.renew()
    wait_until(lambda: gateway.can_fork() and gateway.forerunners[0].poll() is not None)
    assert gateway.look() not in (None, process)
    assert process.wait(60) == -signal.SIGKILL  # it may end later than it is let go


def test_one_of_a_forerunner_that_was_replaced_is_not_taken(gateway: Gateway) -> None:
    process = gateway.made()
    gateway.forks.renew()
    wait_until(lambda: gateway.can_fork() and gateway.forerunners[0].poll() is not None)
    assert gateway.take().process is not process


def test_a_forerunner_that_is_silent_when_it_is_asked_is_replaced(
    gateways: Callable[[str], Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.worker_forks._ANSWER_SECONDS", 0.1)
    gateway = gateways(SILENT)
    assert gateway.look() is None
    wait_until(lambda: gateway.can_fork() and len(gateway.forerunners) == 2)
    assert gateway.forerunners[0].returncode == -signal.SIGKILL
