"""The worker that stands by, by real processes that speak as a forerunner and its forks do."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gateway.replacement import Worker
from gateway.standby import Standby
from gateway.worker_forks import WorkerForks
from tests.support.gateway_process import wait_until

PROGRAM = """
import os, socket, sys
channel = socket.socket(fileno=int(sys.argv[1]))
channel.sendall(b"ready")
said, descriptors, _, _ = socket.recv_fds(channel, 8, 1)
told = socket.socket(fileno=descriptors[0])
told.sendall(os.getpid().to_bytes(8, "big"))
told.recv(2)
word = told.recv(2)
with open(sys.argv[2], "ab") as heard:
    heard.write(word + b" %d\\n" % int.from_bytes(said, "big"))
told.recv(2)
socket.create_server(("127.0.0.1", 0)).accept()
"""
"""One that cannot be forked: it is the worker itself, and writes down its word and its place."""


class Gateway:
    """What a supervisor has of it, with three places, and where workers write down what they have heard."""

    def __init__(self, folder: Path) -> None:
        self._heard = folder / "heard"
        self._heard.touch()
        self.started: list[subprocess.Popen[bytes]] = []
        self.forks = WorkerForks(self._start)
        self.standby = Standby(self.forks, 3)

    def _start(self, orders: int, _more: Sequence[str]) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", PROGRAM, str(orders), str(self._heard)]
        self.started.append(subprocess.Popen(command, pass_fds=(orders,)))
        return self.started[-1]

    def heard(self, count: int) -> list[str]:
        wait_until(lambda: len(self._heard.read_text().splitlines()) == count)
        return self._heard.read_text().splitlines()

    def attend(self, *taken: int, now: float | None = None, is_anyone_missing: bool = False) -> subprocess.Popen[bytes]:
        """Do it until one stands by, and return that."""
        wait_until(lambda: self.look(*taken, now=now, is_anyone_missing=is_anyone_missing) is not None)
        process = self.look(*taken, now=now)
        assert isinstance(process, subprocess.Popen)
        return process

    def look(self, *taken: int, now: float | None = None, is_anyone_missing: bool = False) -> object:
        moment = time.monotonic() if now is None else now
        self.forks.attend(time.monotonic())
        self.standby.attend(taken, moment, is_anyone_missing=is_anyone_missing)
        return None if self.standby._fork is None else self.standby._fork.process

    def take(self, *taken: int, is_alone: bool) -> Worker:
        found: list[Worker] = []

        def look() -> bool:
            self.forks.attend(time.monotonic())
            worker = self.standby.take(taken, is_alone=is_alone)
            found.extend(() if worker is None else (worker,))
            return worker is not None

        wait_until(look)
        return found[0]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    made = Gateway(tmp_path)
    yield made
    made.standby.close()
    made.forks.close()
    for process in made.started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("word", ["sa", "sv"], ids=["alone", "beside others"])
def test_whoever_stands_by_serves_in_the_place_that_was_free(gateway: Gateway, word: str) -> None:
    process = gateway.attend(0, 2)
    worker = gateway.take(0, 2, is_alone=word == "sa")
    assert (worker.process, worker.place, gateway.heard(1)) == (process, 1, [f"{word} 1"])


def test_where_nobody_stands_by_a_worker_is_made(gateway: Gateway) -> None:
    worker = gateway.take(is_alone=True)
    assert (worker.place, gateway.heard(1), worker.is_ready) == (0, ["sa 0"], False)


def test_the_next_one_is_not_made_before_nobody_is_missing(gateway: Gateway) -> None:
    gateway.attend()
    worker = gateway.take(is_alone=True)
    assert [gateway.look(worker.place, is_anyone_missing=True) for _ in range(20)] == [None] * 20
    assert gateway.attend(worker.place) is not worker.process


def test_one_that_dies_is_made_again_and_not_at_once(gateway: Gateway) -> None:
    process = gateway.attend(now=10.0)
    process.kill()
    process.wait()
    assert [gateway.look(now=now) for now in (11.0, 11.9)] == [None, None]
    assert gateway.attend(now=12.0) is not process


def test_one_of_a_forerunner_that_was_replaced_is_replaced_as_well(gateway: Gateway) -> None:
    process = gateway.attend()
    wait_until(lambda: gateway.look() is process and gateway.forks._serving is not None)
    gateway.forks.renew()
    wait_until(lambda: gateway.look() not in (None, process))
    assert process.returncode == -signal.SIGKILL
