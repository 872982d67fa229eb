"""One worker at a time is replaced, by one that serves before the other lets go."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gateway.bell import READY, REPLACE_ME, Bell, ring
from gateway.replacement import Replacement, Worker

IDLE = "import signal; signal.pause()"


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    made = [Worker(subprocess.Popen([sys.executable, "-c", IDLE]), place) for place in range(2)]
    yield made
    for worker in made:
        worker.process.kill()
        worker.process.wait()


def test_the_old_worker_lets_go_only_when_its_successor_serves(workers: list[Worker]) -> None:
    old, new = workers
    replacement = Replacement()
    replacement.begin(old, new, now=0.0)
    replacement.attend(now=1.0)
    assert old.process.poll() is None
    new.is_ready = True
    replacement.attend(now=2.0)
    assert old.process.wait(30) == -signal.SIGUSR1
    assert replacement.has_ended(old, now=3.0)
    assert new.process.poll() is None


def test_one_is_replaced_at_a_time_and_the_next_not_for_five_minutes(workers: list[Worker]) -> None:
    old, new = workers
    replacement = Replacement()
    assert replacement.may_begin(now=0.0)
    replacement.begin(old, new, now=0.0)
    assert not replacement.may_begin(now=100.0)
    assert replacement.has_ended(old, now=100.0)
    assert [replacement.may_begin(now=now) for now in (399.0, 400.0)] == [False, True]


def test_a_successor_that_dies_is_not_started_again_and_the_old_worker_stays(workers: list[Worker]) -> None:
    old, new = workers
    replacement = Replacement()
    replacement.begin(old, new, now=0.0)
    assert replacement.has_ended(new, now=1.0)
    replacement.attend(now=1000.0)
    assert old.process.poll() is None
    assert not replacement.has_ended(old, now=1001.0)  # it is started again, like any other


def test_a_successor_that_dies_when_the_old_worker_lets_go_is_started_again(workers: list[Worker]) -> None:
    old, new = workers
    replacement = Replacement()
    replacement.begin(old, new, now=0.0)
    new.is_ready = True
    replacement.attend(now=1.0)
    assert not replacement.has_ended(new, now=2.0)
    assert not replacement.may_begin(now=1000.0)
    assert replacement.has_ended(old, now=3.0)  # whom it replaced is not
    assert replacement.may_begin(now=1000.0)


def test_a_successor_that_does_not_serve_within_two_minutes_is_ended(workers: list[Worker]) -> None:
    old, new = workers
    replacement = Replacement()
    replacement.begin(old, new, now=0.0)
    replacement.attend(now=119.0)
    assert new.process.poll() is None
    replacement.attend(now=121.0)
    assert (new.process.wait(30), old.process.poll()) == (-signal.SIGKILL, None)


def test_an_old_worker_that_does_not_let_go_within_a_minute_is_ended(workers: list[Worker]) -> None:
    old, new = workers
    deaf = "import signal; signal.signal(signal.SIGUSR1, signal.SIG_IGN); print(flush=True); signal.pause()"
    old.process.kill()
    old.process.wait()
    old.process = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
    assert old.process.stdout is not None
    with old.process.stdout as said:
        said.readline()
    new.is_ready = True
    replacement = Replacement()
    replacement.begin(old, new, now=0.0)
    replacement.attend(now=1.0)
    replacement.attend(now=60.0)
    assert old.process.poll() is None
    replacement.attend(now=62.0)
    assert (old.process.wait(30), new.process.poll()) == (-signal.SIGKILL, None)


def test_the_bell_tells_who_has_said_what_and_forgets_it() -> None:
    bell = Bell.create()
    assert bell.heard() == []
    ring(bell.ringing, READY)
    ring(bell.ringing, REPLACE_ME)
    os.write(bell.ringing, b"nonsense\n\xff 12 13\n")
    assert bell.heard() == [(READY, os.getpid()), (REPLACE_ME, os.getpid())]
    assert bell.heard() == []
    for descriptor in (bell.listening, bell.ringing):
        os.close(descriptor)


def test_a_bell_that_nobody_listens_to_harms_nobody() -> None:
    bell = Bell.create()
    os.close(bell.listening)
    ring(bell.ringing, READY)
    os.close(bell.ringing)
