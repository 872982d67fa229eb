"""Who makes room when a worker has as many connections as it may have."""

import resource
from dataclasses import dataclass, field

import pytest

from gateway.web.crowd import Crowd, most_connections


@dataclass
class Transport:
    is_closed: bool = False

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


@dataclass
class Line:
    """A connection from an address; ``waits_since`` is None while a request is at work."""

    address: str
    waits_since: float | None
    transport: Transport = field(default_factory=Transport)

    @property
    def client(self) -> tuple[str, int]:
        return self.address, 1


def closed(lines: list[Line]) -> list[int]:
    return [number for number, line in enumerate(lines) if line.transport.is_closed]


def test_below_the_limit_nobody_goes() -> None:
    lines = [Line("a", 0.0), Line("a", 1.0)]
    assert (Crowd(lambda: lines, 3).make_room(0), closed(lines)) == (True, [])


def test_at_the_limit_the_one_that_has_waited_longest_goes() -> None:
    lines = [Line("a", 2.0), Line("a", 1.0), Line("a", None)]
    assert (Crowd(lambda: lines, 3).make_room(0), closed(lines)) == (True, [1])


def test_who_has_most_connections_closes_his_own() -> None:
    lines = [Line("honest", 0.0), Line("greedy", 8.0), Line("greedy", 9.0)]
    assert (Crowd(lambda: lines, 3).make_room(0), closed(lines)) == (True, [1])


def test_connections_at_work_stay_and_newcomers_wait() -> None:
    lines = [Line("a", None), Line("a", None)]
    assert (Crowd(lambda: lines, 2).make_room(0), closed(lines)) == (False, [])


def test_those_that_are_being_closed_are_not_counted() -> None:
    lines = [Line("a", 0.0, Transport(is_closed=True)), Line("a", 1.0)]
    assert (Crowd(lambda: lines, 2).make_room(0), closed(lines)) == (True, [0])


def test_those_that_are_just_being_opened_are_counted() -> None:
    lines = [Line("a", 0.0), Line("a", 1.0), Line("a", None)]
    assert (Crowd(lambda: lines, 5).make_room(1), closed(lines)) == (True, [])
    assert (Crowd(lambda: lines, 5).make_room(2), closed(lines)) == (False, [])


def test_of_many_some_go_at_once() -> None:
    lines = [Line("a", float(number)) for number in range(640)]
    assert (Crowd(lambda: lines, 640).make_room(0), closed(lines)) == (True, list(range(10)))


@pytest.fixture
def few_files() -> object:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("few_files")
def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert most_connections(1000) == 1000
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 1256
    assert most_connections(10 * hard) == hard - 256
