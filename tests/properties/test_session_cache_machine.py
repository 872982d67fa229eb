"""The session cache against every order of asking, loading, failing, releasing, leaving and waiting."""

import asyncio
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.serving.session_cache import Lease, SessionCache
from registry.errors import LoadFailed, ServiceError
from registry.records import Version
from tests.support.serving_models import make_version
from tests.support.sessions import MIB, Loader, PlainSession
from tests.support.virtual_time import SteppedExecutor, VirtualTimeLoop, settle

BUDGET_BYTES = 4 * MIB
VERSIONS = {
    name: make_version(name, memory_bytes=size * MIB) for name, size in {"a": 1, "b": 1, "c": 2, "d": 3, "e": 4}.items()
}
LONGEST_STAY_SECONDS = 2.0
PICK = st.integers(min_value=0, max_value=1000)


class RecordingLoader(Loader):
    """Keeps every session that it has made."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[PlainSession] = []

    def __call__(self, version: Version) -> PlainSession:
        session = super().__call__(version)
        self.made.append(session)
        return session


class Asked:
    """One caller."""

    def __init__(self, version: Version, task: asyncio.Task[Lease[PlainSession]]) -> None:
        self.version = version
        self.task = task
        self.is_released = False

    @property
    def lease(self) -> Lease[PlainSession] | None:
        held = self.task.done() and not self.task.cancelled() and self.task.exception() is None
        return self.task.result() if held and not self.is_released else None


class CacheMachine(RuleBasedStateMachine):
    """Whatever happens, in whatever order, the rules of the cache hold."""

    def __init__(self) -> None:
        super().__init__()
        self.strays: list[dict[str, Any]] = []
        self.loop = VirtualTimeLoop()
        self.loop.set_exception_handler(lambda _, context: self.strays.append(context))
        self.loader = RecordingLoader()
        self.executor = SteppedExecutor()
        self.cache: SessionCache[PlainSession] = SessionCache(
            budget_bytes=BUDGET_BYTES,
            load=self.loader,
            executor=self.executor,
            freed=lambda: None,
            clock=self.loop.time,
            expect=self.loader.expect,
        )
        self.asked: list[Asked] = []
        self.line: list[Version] = []
        self.seen_submissions = 0

    @rule(name=st.sampled_from(sorted(VERSIONS)), seconds=st.sampled_from([0.1, 1.0, 30.0]))
    def ask(self, name: str, seconds: float) -> None:
        version = VERSIONS[name]
        if version not in self.line and not self.cache.is_resident(version) and version not in self.loading():
            self.line.append(version)
        acquire = self.cache.acquire(version, self.loop.time() + seconds)
        self.asked.append(Asked(version, self.loop.create_task(acquire)))
        self.go_on()

    @precondition(lambda self: self.executor.pending)
    @rule()
    def finish_work(self) -> None:
        self.loop.run_until_complete(self.executor.step())
        self.check_line()

    @precondition(lambda self: any(asked.lease for asked in self.asked))
    @rule(pick=PICK)
    def release(self, pick: int) -> None:
        held = [asked for asked in self.asked if asked.lease]
        self.give_back(held[pick % len(held)])
        self.go_on()

    @precondition(lambda self: any(not asked.task.done() for asked in self.asked))
    @rule(pick=PICK)
    def leave(self, pick: int) -> None:
        waiting = [asked for asked in self.asked if not asked.task.done()]
        waiting[pick % len(waiting)].task.cancel()
        self.go_on()

    @rule(seconds=st.sampled_from([0.05, 0.3, 2.0]))
    def wait(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))
        self.go_on()

    @rule(name=st.sampled_from(sorted(VERSIONS)), seconds=st.sampled_from([0.0, 0.05, 3.0]))
    def load_slowly(self, name: str, seconds: float) -> None:
        """From now on its loads take so long, so that its sessions stay for a while."""
        self.loader.seconds[f"{name}:1"] = seconds

    @rule(names=st.sets(st.sampled_from(["a", "b"])))
    def pin(self, names: set[str]) -> None:
        async def pin() -> None:
            self.cache.pin([VERSIONS[name] for name in names])

        self.loop.run_until_complete(pin())
        self.go_on()

    @rule(name=st.sampled_from(sorted(VERSIONS)))
    def break_or_mend(self, name: str) -> None:
        if self.loader.errors.pop(f"{name}:1", None) is None:
            self.loader.errors[f"{name}:1"] = LoadFailed("broken")

    @rule(name=st.sampled_from(sorted(VERSIONS)))
    def prepare(self, name: str) -> None:
        """From now on its sessions take half of what inspection has measured."""
        version = VERSIONS[name]
        self.loader.measured[f"{name}:1"] = version.inspection.memory_bytes // 2
        was_resident = self.cache.is_resident(version)

        async def renew() -> None:
            self.cache.renew(version)

        self.loop.run_until_complete(renew())
        if was_resident and not self.cache.is_resident(version):
            self.line.append(version)
        self.go_on()

    @invariant()
    def memory_stays_in_budget(self) -> None:
        alive = sum(
            session.memory_bytes or session.version.inspection.memory_bytes
            for session in self.loader.made
            if not session.is_closed
        )
        assert alive <= self.cache.resident_bytes <= BUDGET_BYTES

    @invariant()
    def what_is_leased_is_not_closed(self) -> None:
        for asked in self.asked:
            if asked.lease is not None:
                assert asked.lease.session.version == asked.version
                assert not asked.lease.session.is_closed

    @invariant()
    def one_version_is_loaded_once_at_a_time(self) -> None:
        loading = self.loading()
        assert len({version.model for version in loading}) == len(loading)
        assert not [version for version in loading if self.cache.is_resident(version)]

    @invariant()
    def nothing_goes_astray(self) -> None:
        assert self.strays == []

    def teardown(self) -> None:
        try:
            self.end_well()
        finally:
            self.loop.close()

    def end_well(self) -> None:
        """Once everybody releases, everybody is served, and the cache can be emptied."""
        self.loader.errors.clear()
        self.pin(set())
        while not all(asked.task.done() and not asked.lease for asked in self.asked) or self.executor.pending:
            for asked in self.asked:
                if asked.lease:
                    self.give_back(asked)
            self.go_on()
            if self.executor.pending:
                self.loop.run_until_complete(self.executor.step())
            else:
                self.loop.run_until_complete(asyncio.sleep(LONGEST_STAY_SECONDS))
        assert all(asked.task.done() for asked in self.asked)
        errors = [asked.task.exception() for asked in self.asked if not asked.task.cancelled()]
        assert all(error is None or isinstance(error, ServiceError) for error in errors)
        draining = self.loop.create_task(self.cache.drain())
        self.go_on()
        while self.executor.pending:
            self.loop.run_until_complete(self.executor.step())
        assert draining.done()
        assert self.cache.resident_bytes == 0
        assert all(session.is_closed for session in self.loader.made)
        self.nothing_goes_astray()

    def go_on(self) -> None:
        self.loop.run_until_complete(settle())
        self.check_line()

    def check_line(self) -> None:
        """Loads have begun in the order of the line, passing only versions that nobody waits for any more."""
        waited_for = {asked.version.model for asked in self.asked if not asked.task.done()}
        begun = [args[0] for args in self.executor.submitted[self.seen_submissions :] if args]
        self.seen_submissions = len(self.executor.submitted)
        for version in begun:
            passed = self.line[: self.line.index(version)]
            assert not [other for other in passed if other.model in waited_for]
            self.line.remove(version)
        renewed = {model for model, _ in self.cache._line}  # nobody need wait for these
        self.line = [version for version in self.line if version.model in waited_for | renewed]

    def loading(self) -> list[Version]:
        return [version for version in VERSIONS.values() if (version.model, version.number) in self.cache._loading]

    def give_back(self, asked: Asked) -> None:
        lease = asked.lease
        assert lease is not None
        asked.is_released = True

        async def release() -> None:
            lease.release()

        self.loop.run_until_complete(release())


TestCacheMachine = CacheMachine.TestCase
TestCacheMachine.settings = settings(max_examples=300, stateful_step_count=40, suppress_health_check=list(HealthCheck))
