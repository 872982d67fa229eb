"""What a worker believes of tokens, on a real database, with clocks that are set by hand."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.serving.token_verdicts import TokenVerdicts
from registry.credentials import Credential, draw_credential, parse_credential
from registry.errors import Overloaded, RegistryUnavailable, ServiceError, Unauthenticated
from registry.roles import Caller, Role
from registry.sql.unit_of_work import SqlRegistry
from registry.tokens import Tokens
from tests.support.registries import NOON, HandClock, fresh_registry

HOUR = 3600.0


@dataclass
class Counting:
    """A registry that can be told not to answer, and counts how often it was asked to be read and to be written."""

    real: SqlRegistry
    readings: int = 0
    writings: int = 0
    is_down: bool = False
    before_reading: Callable[[], None] = field(default=lambda: None)

    @contextmanager
    def reading(self) -> Iterator[object]:
        self.readings += 1
        self._look()
        with self.real.reading() as catalog:
            yield catalog
        self.before_reading()

    @contextmanager
    def writing(self) -> Iterator[object]:
        self.writings += 1
        self._look()
        with self.real.writing() as transaction:
            yield transaction

    def _look(self) -> None:
        if self.is_down:
            raise RegistryUnavailable("the registry does not answer")


@dataclass
class Bench:
    registry: Counting
    verdicts: TokenVerdicts
    tokens: Tokens
    wall: HandClock
    seconds: list[float]

    def make(self, role: Role = Role.PREDICT, expires: str | None = None) -> str:
        return self.tokens.create("ada", role, actor="tests", expires=expires).text

    def revoke(self, text: str) -> None:
        self.tokens.revoke(text.split("_")[1], actor="tests")

    def find(self, text: str) -> Caller | None:
        return self.verdicts.find(text.encode(), self.seconds[0])

    async def judge(self, text: str) -> Caller | type[ServiceError]:
        """Who it is, or the kind of refusal."""
        try:
            return await self.verdicts.judge(text.encode(), parse_credential(text))
        except ServiceError as error:
            return type(error)

    def later(self, seconds: float) -> None:
        self.seconds[0] += seconds
        self.wall.moment += timedelta(seconds=seconds)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    wall, seconds = HandClock(), [1000.0]
    with fresh_registry(tmp_path) as real, ThreadPoolExecutor(2) as executor:
        registry = Counting(real)
        verdicts = TokenVerdicts(registry, executor=executor, wall_clock=wall, clock=lambda: seconds[0])
        yield Bench(registry, verdicts, Tokens(real, wall), wall, seconds)


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(work())


def test_a_token_is_looked_up_once_and_known_from_then_on(bench: Bench) -> None:
    text = bench.make(Role.PUBLISH)
    ada = Caller(name="ada", role=Role.PUBLISH, models=None, token=text.split("_")[1])

    async def work() -> None:
        assert bench.find(text) is None
        assert await bench.judge(text) == ada
        assert (bench.find(text), await bench.judge(text)) == (ada, ada)
        assert bench.registry.readings == 1

    run(work)


def test_what_is_no_token_is_refused_without_asking_and_what_is_nobodys_is_asked_for_once(bench: Bench) -> None:
    good = bench.make()
    credential = parse_credential(good)
    assert credential is not None
    forged = Credential(credential.id, draw_credential().secret).reveal()
    stranger = draw_credential().reveal()

    async def work() -> None:
        assert [await bench.judge(text) for text in ("", "x", good[:-1])] == [Unauthenticated] * 3
        assert bench.registry.readings == 0
        assert [await bench.judge(text) for text in (stranger, forged) * 2] == [Unauthenticated] * 4
        assert bench.registry.readings == 2
        bench.later(5)
        assert await bench.judge(stranger) is Unauthenticated
        assert bench.registry.readings == 3

    run(work)


def test_many_at_once_with_one_token_ask_once(bench: Bench) -> None:
    text = bench.make()

    async def work() -> None:
        found = await asyncio.gather(*(bench.judge(text) for _ in range(20)))
        assert {caller.name for caller in found if isinstance(caller, Caller)} == {"ada"}
        assert bench.registry.readings == 1

    run(work)


def test_too_many_different_tokens_at_once_are_put_off(bench: Bench) -> None:
    async def work() -> None:
        strangers = [draw_credential().reveal() for _ in range(65)]
        found = await asyncio.gather(*(bench.judge(text) for text in strangers))
        assert found == [Unauthenticated] * 64 + [Overloaded]

    run(work)


def test_a_revocation_is_known_with_the_next_reading_and_never_forgotten(bench: Bench) -> None:
    text = bench.make()

    async def work() -> None:
        await bench.judge(text)
        bench.revoke(text)
        await bench.verdicts.refresh()
        assert bench.find(text) is None
        bench.registry.is_down = True
        bench.later(24 * HOUR)
        assert await bench.judge(text) is Unauthenticated

    run(work)


def test_a_revocation_during_a_look_up_is_not_lost(bench: Bench) -> None:
    text, other = bench.make(), bench.make()

    async def work() -> None:
        await bench.judge(other)

        def revoke_behind_the_reading() -> None:
            bench.registry.before_reading = lambda: None
            bench.revoke(text)

        bench.registry.before_reading = revoke_behind_the_reading
        await bench.judge(text)  # read just before the revocation, and so believed
        await bench.verdicts.refresh()
        assert (bench.find(text), await bench.judge(text)) == (None, Unauthenticated)

    run(work)


def test_a_verdict_outlasts_the_registry_by_an_hour(bench: Bench) -> None:
    text, never_seen = bench.make(), bench.make()

    async def work() -> None:
        await bench.judge(text)
        bench.later(100)
        await bench.verdicts.refresh()
        bench.registry.is_down = True
        bench.later(HOUR - 1)
        with pytest.raises(RegistryUnavailable):
            await bench.verdicts.refresh()
        assert isinstance(bench.find(text), Caller)
        assert await bench.judge(never_seen) is RegistryUnavailable
        bench.later(1)
        assert (bench.find(text), await bench.judge(text)) == (None, RegistryUnavailable)
        bench.registry.is_down = False
        assert isinstance(await bench.judge(text), Caller)

    run(work)


def test_a_token_ends_on_time_with_and_without_the_registry(bench: Bench) -> None:
    text = bench.make(expires="1h")

    async def work() -> None:
        await bench.judge(text)
        bench.later(HOUR - 1)
        assert isinstance(bench.find(text), Caller)
        bench.registry.is_down = True
        bench.later(1)
        assert (bench.find(text), await bench.judge(text)) == (None, Unauthenticated)
        bench.registry.is_down = False
        assert await bench.judge(text) is Unauthenticated

    run(work)


def test_a_token_ends_by_the_wall_clock_of_the_last_reading(bench: Bench) -> None:
    text = bench.make(expires="2h")

    async def work() -> None:
        await bench.judge(text)
        bench.wall.moment = NOON + timedelta(hours=3)  # the machine's clock was wrong, and was put right
        await bench.verdicts.refresh()
        assert (bench.find(text), await bench.judge(text)) == (None, Unauthenticated)
        bench.wall.moment = NOON + timedelta(hours=1)
        bench.later(5)
        await bench.verdicts.refresh()
        assert isinstance(bench.find(text), Caller)

    run(work)


def test_use_is_written_once_a_minute_for_tokens_that_were_used(bench: Bench) -> None:
    text, idle = bench.make(), bench.make()

    def last_used() -> list[object]:
        return [token.last_used_at for token in bench.tokens.list_page(limit=10).items if token.id in text]

    async def work() -> None:
        await bench.judge(text)
        await bench.judge(idle)
        await bench.verdicts.note_use()
        assert (last_used(), bench.registry.writings) == ([NOON], 1)
        for _ in range(3):
            bench.later(10)
            bench.find(text)
            await bench.verdicts.note_use()
        assert (last_used(), bench.registry.writings) == ([NOON], 1)
        bench.later(30)
        await bench.verdicts.note_use()
        assert (last_used(), bench.registry.writings) == ([NOON + timedelta(seconds=60)], 2)
        bench.later(60)
        await bench.verdicts.note_use()
        assert bench.registry.writings == 2, "nobody has used it since"

    run(work)


def test_tokens_that_nobody_uses_any_more_are_not_read_for_ever(bench: Bench) -> None:
    text = bench.make()

    async def work() -> None:
        await bench.judge(text)
        bench.later(24 * HOUR + 1)
        await bench.verdicts.refresh()
        assert (bench.registry.readings, bench.find(text)) == (1, None)

    run(work)


def test_a_new_worker_expects_tokens_that_were_used_elsewhere_and_lets_none_of_them_in_for_that(bench: Bench) -> None:
    used, unused, revoked = bench.make(), bench.make(), bench.make()

    async def work() -> None:
        await bench.judge(used)
        await bench.judge(revoked)
        await bench.verdicts.note_use()
        bench.revoke(revoked)
        with ThreadPoolExecutor(1) as executor:
            other = TokenVerdicts(bench.registry, executor=executor, wall_clock=bench.wall)  # type: ignore[arg-type]
            assert not other.expects(parse_credential(used))
            await other.expect()
            expected = [other.expects(parse_credential(text)) for text in (used, unused, revoked)]
            assert expected == [True, False, False]
            assert not other.expects(Credential(used.split("_")[1], "A" * 32)), "the secret is another one"
            assert other.find(used.encode(), 0.0) is None

    run(work)


def test_what_is_expected_is_read_once_a_minute(bench: Bench) -> None:
    text = bench.make()

    async def work() -> None:
        await bench.verdicts.expect()
        await bench.judge(text)
        await bench.verdicts.note_use()
        await bench.verdicts.expect()
        assert (bench.registry.readings, bench.verdicts.expects(parse_credential(text))) == (2, False)
        bench.later(60)
        await bench.verdicts.expect()
        assert (bench.registry.readings, bench.verdicts.expects(parse_credential(text))) == (3, True)

    run(work)
