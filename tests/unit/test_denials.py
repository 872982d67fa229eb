"""How often a denied attempt becomes an event, in virtual time."""

import asyncio

from gateway.web.denials import Denials
from gateway.web.exchange import Exchange
from registry.errors import RegistryUnavailable
from registry.roles import Caller, Role
from registry.tokens import Denial
from tests.support.virtual_time import ImmediateExecutor, run_virtually, settle

ADA = Caller(name="ada", role=Role.PREDICT, token="aaaaaaaaaaaa")  # noqa: S106 - a public id
BOB = Caller(name="bob", role=Role.PUBLISH, models="fraud-*", token="bbbbbbbbbbbb")  # noqa: S106 - as above


class Bench:
    """Denials whose events are kept in a list."""

    def __init__(self) -> None:
        self.events: list[Denial] = []
        self.is_down = False
        self.denials = Denials(self._record, ImmediateExecutor(), asyncio.get_running_loop().time)

    def _record(self, denial: Denial) -> None:
        if self.is_down:
            raise RegistryUnavailable("away", retry_after_seconds=5)
        self.events.append(denial)

    def attempt(self, caller: Caller, path: str = "/registry/tokens") -> None:
        exchange = Exchange("GET", path, {}, "1")
        self.denials.note(exchange, caller, Role.ADMIN)

    def seen(self) -> list[tuple[str, int]]:
        return [(denial.caller.name, denial.more_count) for denial in self.events]


def test_a_token_has_ten_events_and_one_more_a_minute_which_counts_the_attempts_between() -> None:
    async def test() -> None:
        bench = Bench()
        for _ in range(15):
            bench.attempt(ADA)
        bench.attempt(BOB)
        assert bench.seen() == [("ada", 0)] * 10 + [("bob", 0)]
        bench.events.clear()
        await asyncio.sleep(61)
        for _ in range(5):
            bench.attempt(ADA)
        await asyncio.sleep(61)
        bench.attempt(ADA)
        assert bench.seen() == [("ada", 5), ("ada", 4)]

    run_virtually(test)


def test_an_event_says_what_was_asked_for_without_secrets() -> None:
    async def test() -> None:
        bench = Bench()
        bench.attempt(BOB, "/registry/models/" + "x" * 1000)
        path = ("/registry/models/" + "x" * 1000)[:256]
        assert bench.events == [Denial(caller=BOB, needed=Role.ADMIN, method="GET", path=path, more_count=0)]

    run_virtually(test)


def test_what_could_not_be_recorded_is_counted_by_the_next_event() -> None:
    async def test() -> None:
        bench = Bench()
        bench.is_down = True
        for _ in range(3):
            bench.attempt(ADA)
        await settle()
        bench.is_down = False
        bench.attempt(ADA)
        assert bench.seen() == [("ada", 3)]

    run_virtually(test)
