"""Workers that are forks, by real processes that speak as a forerunner does."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from gateway.worker_forks import Fork, ForkedProcess, Process, WorkerForks
from tests.support.gateway_process import wait_until

BEGIN = """
import os, socket, sys, time
channel = socket.socket(fileno=int(sys.argv[1]))
"""
SERVE = (
    BEGIN
    + """
channel.sendall(b"ready")
while True:
    said, descriptors, _, _ = socket.recv_fds(channel, 8, 1)
    if not said:
        break
    told = socket.socket(fileno=descriptors[0])
    %s
    told.close()
"""
)
BECOME = """
    told.sendall(os.getpid().to_bytes(8, "big"))
    if told.recv(2) == b"go":
        time.sleep(60)
"""
REFUSE = "pass"
DIE = "os._exit(3)"


class Forerunners:
    """Starts programs in place of forerunners, and knows what it has started."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.started: list[subprocess.Popen[bytes]] = []
        self.told: list[Sequence[str]] = []
        self.forked: list[Fork] = []
        self.forks = WorkerForks(self.start)

    def start(self, orders: int, more: Sequence[str]) -> "subprocess.Popen[bytes] | None":
        process = subprocess.Popen([sys.executable, "-c", self.program, str(orders)], pass_fds=(orders,))
        self.started.append(process)
        self.told.append(more)
        return process

    def fork(self) -> Process | None:
        self.forks.attend(time.monotonic())
        fork = self.forks.fork(0)
        if fork is None:
            return None
        self.forked.append(fork)
        return fork.process


@pytest.fixture
def forerunners() -> Iterator[Callable[[str], Forerunners]]:
    made: list[Forerunners] = []

    def make(program: str) -> Forerunners:
        made.append(Forerunners(program))
        return made[-1]

    yield make
    for each in made:
        each.forks.close()
        for fork in each.forked:
            fork.end()
        for process in each.started:
            process.kill()
            process.wait()


def first_worker(made: Forerunners) -> Process:
    found: list[Process] = []

    def look() -> bool:
        worker = made.fork()
        if worker is not None:
            found.append(worker)
        return bool(found)

    wait_until(look)
    return found[0]


def test_a_forerunner_that_cannot_be_forked_is_the_worker_and_another_is_started(
    forerunners: Callable[[str], Forerunners],
) -> None:
    made = forerunners(SERVE % BECOME.strip())
    worker = first_worker(made)
    assert worker is made.started[0]
    wait_until(lambda: made.fork() is not None)
    assert (len(made.started), worker.poll()) == (2, None)


def test_where_there_is_no_room_for_a_fork_the_forerunner_stays(forerunners: Callable[[str], Forerunners]) -> None:
    made = forerunners(SERVE % REFUSE)
    wait_until(lambda: made.fork() is None and made.forks._forks_at > 0)
    assert (len(made.started), made.started[0].poll()) == (1, None)


@pytest.mark.parametrize("program", [SERVE % DIE, "raise SystemExit(3)"], ids=["when it is asked", "at once"])
def test_a_forerunner_that_ends_is_started_again_and_not_at_every_look(
    forerunners: Callable[[str], Forerunners], program: str
) -> None:
    made = forerunners(program)
    wait_until(lambda: made.fork() is None and len(made.started) == 2)
    assert made.started[0].returncode == 3
    before = time.monotonic()
    for _ in range(50):
        made.forks.attend(before)
    assert len(made.started) == 2


def test_another_forerunner_is_patient_while_one_serves(forerunners: Callable[[str], Forerunners]) -> None:
    made = forerunners(SERVE % REFUSE)
    wait_until(lambda: made.fork() is None and made.forks._forks_at > 0)
    made.forks.renew()
    wait_until(lambda: made.fork() is None and made.started[0].poll() is not None)
    assert (made.told, made.started[1].poll()) == ([(), ("--patient",)], None)


def test_a_forked_process_is_waited_for_as_any_other() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    forked = ForkedProcess(process.pid)
    with pytest.raises(subprocess.TimeoutExpired):
        forked.wait(0.05)
    assert forked.poll() is None
    forked.kill()
    assert (forked.wait(10), forked.returncode) == (-signal.SIGKILL, -signal.SIGKILL)
    forked.send_signal(signal.SIGTERM)  # to nobody: the process id may be another's by now
    process.returncode = forked.returncode
    assert not Path(f"/proc/{process.pid}").exists()
