"""One measurement: the load generator on its core, the server on its own, and answers compared all the while."""

import http.client
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Protocol, Self, TypeVar

from bench.contestants import Contestant
from bench.models import Question
from bench.processes import busy_seconds, cpu_seconds
from bench.servers import HOST, Server
from bench.wires import WrongAnswerError
from bench.wrk import Load, run_wrk

ASK_EVERY_SECONDS = 0.2
DISTURBED_SHARE = 0.1
ATTEMPTS = 2
ALONE_SECONDS = 4
MOST_CORES = 1.15
"""A pool of the runtime's with several threads gives them cores of their own, whatever the server was started on."""
WARM_UP_SECONDS = 1
WARM_UP_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where."""

    server: int
    load: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One run of the load generator against one server."""

    contestant: str
    model: str
    connections: int
    round: int
    load: Load
    cpu_seconds: float
    """Of the server's whole process tree, by the kernel's count."""
    foreign_share: float
    """How much of the two cores' time went to others meanwhile: 0 on a quiet machine."""
    checked_count: int
    """Answers that were compared with the runtime's while the load was on."""
    wrong_count: int

    @property
    def cpu_us_per_request(self) -> float:
        return self.cpu_seconds * 1e6 / max(self.load.requests, 1)


class Questioner:
    """Asks different questions all along, a few times a second, and compares what comes back."""

    def __init__(self, contestant: Contestant, port: int, core: int) -> None:
        self.checked_count = 0
        self.faults: list[str] = []
        self._contestant = contestant
        self._port = port
        self._core = core
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask_until_over)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask_until_over(self) -> None:
        os.sched_setaffinity(0, {self._core})  # this thread only
        questions = cycle(self._contestant.model.questions)
        while not self._over.wait(ASK_EVERY_SECONDS):
            try:
                ask_and_compare(self._contestant, self._port, next(questions))
            except (WrongAnswerError, OSError, http.client.HTTPException) as error:
                self.faults.append(f"{type(error).__name__}: {error}"[:300])
            self.checked_count += 1


def ask_and_compare(contestant: Contestant, port: int, question: Question) -> None:
    """Ask once; raise WrongAnswerError unless the answer is a right 200."""
    headers = {"content-type": "application/json"} | contestant.headers
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        connection.request("POST", contestant.path, contestant.encode(question), headers)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise WrongAnswerError(f"{contestant.name} answered {answer.status}: {body[:300]!r}")
    contestant.check(body, question)


def check_all(contestant: Contestant, server: Server) -> None:
    """Ask every question once."""
    for question in contestant.model.questions:
        ask_and_compare(contestant, server.port, question)


def warm_up(contestant: Contestant, server: Server, wrk: str, cores: Cores) -> None:
    """Wait until the server rests after its start, compare its answers, and send it load for a second."""
    server.wait_until_quiet()
    check_all(contestant, server)
    load(contestant, server, wrk, cores, connections=WARM_UP_CONNECTIONS, seconds=WARM_UP_SECONDS)


def measure(
    contestant: Contestant, server: Server, turn: int, *, connections: int, seconds: int, wrk: str, cores: Cores
) -> Measurement:
    """Load the server, and take the kernel's word for what that cost; again where others took the cores meanwhile."""

    def attempt() -> Measurement:
        return _measure(contestant, server, turn, connections=connections, seconds=seconds, wrk=wrk, cores=cores)

    return keep_quietest(try_quietly(attempt, cores))


def _measure(
    contestant: Contestant, server: Server, turn: int, *, connections: int, seconds: int, wrk: str, cores: Cores
) -> Measurement:
    before = server.cpu_seconds()
    with foreign_time(cores) as foreign, Questioner(contestant, server.port, cores.load) as questioner:
        seen = load(contestant, server, wrk, cores, connections=connections, seconds=seconds)
    spent = server.cpu_seconds() - before
    if spent > seen.seconds * MOST_CORES:
        print(f"  {contestant.name} used {spent / seen.seconds:.1f} cores: some thread of it chose its own", flush=True)
    for fault in questioner.faults[:3]:
        print(f"  WRONG {contestant.name}: {fault}", flush=True)
    return Measurement(
        contestant=contestant.name,
        model=contestant.model.name,
        connections=connections,
        round=turn,
        load=seen,
        cpu_seconds=spent,
        foreign_share=foreign.share,
        checked_count=questioner.checked_count,
        wrong_count=len(questioner.faults),
    )


def load(contestant: Contestant, server: Server, wrk: str, cores: Cores, *, connections: int, seconds: int) -> Load:
    """Have the contestant's first question asked for so long, over so many connections."""
    return run_wrk(
        wrk,
        port=server.port,
        path=contestant.path,
        body=contestant.body,
        headers=contestant.headers,
        connections=connections,
        seconds=seconds,
        core=cores.load,
    )


@dataclass(slots=True)
class ForeignTime:
    """What other processes took of the cores."""

    share: float = 0.0


@contextmanager
def foreign_time(cores: Cores) -> Iterator[ForeignTime]:
    """Find out, for the time of the block, how much of the two cores went to others than this process's own."""
    foreign, both = ForeignTime(), (cores.server, cores.load)
    began, busy, own = time.monotonic(), busy_seconds(both), _own_seconds()
    yield foreign
    taken = busy_seconds(both) - busy - (_own_seconds() - own)
    foreign.share = round(max(0.0, taken) / (len(both) * (time.monotonic() - began)), 3)


class Disturbed(Protocol):
    """A measurement that says how much others took of the cores meanwhile."""

    @property
    def foreign_share(self) -> float: ...


M = TypeVar("M", bound=Disturbed)


def try_quietly(attempt: Callable[[], M], cores: Cores) -> list[M]:
    """Wait for others to finish, within reason, and measure; again if they came back. Return all attempts."""
    attempts: list[M] = []
    while len(attempts) < ATTEMPTS:
        _wait_until_alone(cores)
        attempts.append(attempt())
        if attempts[-1].foreign_share <= DISTURBED_SHARE:
            break
    return attempts


def keep_quietest(attempts: Sequence[Measurement]) -> Measurement:
    """Return the attempt that others disturbed least, charged with the errors and wrong answers of all."""
    best = min(attempts, key=lambda one: one.foreign_share)
    return replace(
        best,
        load=replace(best.load, error_count=sum(one.load.error_count for one in attempts)),
        checked_count=sum(one.checked_count for one in attempts),
        wrong_count=sum(one.wrong_count for one in attempts),
    )


def _wait_until_alone(cores: Cores) -> None:
    deadline = time.monotonic() + ALONE_SECONDS
    while time.monotonic() < deadline:
        with foreign_time(cores) as foreign:
            time.sleep(0.3)
        if foreign.share <= DISTURBED_SHARE:
            return


def _own_seconds() -> float:
    """CPU time of this process, of the servers that it has started, and of the load generators that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return cpu_seconds(os.getpid()) + ended.ru_utime + ended.ru_stime
