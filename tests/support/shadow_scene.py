"""One worker's comparisons of a shadow, with a real cache and sessions that answer as a test says."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from functools import reduce
from typing import Any, Self, cast

import numpy as np

from gateway.serving.runtime import Array, Cancellation
from gateway.serving.session_cache import SessionCache
from gateway.serving.shadowing import Shadowing, Tap
from registry.errors import DeadlinePassed
from registry.records import Trial, Version
from registry.shadow import OutputDifference, ShadowReport
from tests.support.memory_registry import MemoryRegistry
from tests.support.serving_models import make_version
from tests.support.sessions import MIB, Loader, PlainSession
from tests.support.virtual_time import ImmediateExecutor

SHADOW = make_version("iris", 2, outputs=("label", "scores"))
OTHER = make_version("digits", 2, outputs=("label",))

Feed = dict[str, Array]
Answer = Callable[[Feed], Mapping[str, Array]]


def feed_of(*values: float) -> Feed:
    return {"x": np.array(values, np.float32)}


def double(feed: Feed) -> Mapping[str, Array]:
    """What the live version answers, and the shadow as long as nothing else is said: a label and a score a row."""
    return {"label": feed["x"].astype(np.int64), "scores": 2 * feed["x"]}


class AnsweringSession(PlainSession):
    """Answers at once, and remembers what it was asked."""

    def __init__(self, version: Version, scene: "Scene") -> None:
        super().__init__(version)
        self._scene = scene

    def run(self, outputs: Sequence[str], feed: Feed, cancellation: Cancellation) -> list[Array]:
        assert not self.is_closed
        self._scene.asked.append((tuple(outputs), {name: array.tolist() for name, array in feed.items()}))
        self._scene.cancellations.append(cancellation)
        self._scene.late_seconds += self._scene.run_seconds
        if cancellation.is_cancelled:
            raise DeadlinePassed("the run was stopped")
        answers = self._scene.answer(feed)
        return [answers[name] for name in outputs]


class SessionLoader(Loader):
    """Makes sessions that answer."""

    def __init__(self, scene: "Scene") -> None:
        super().__init__()
        self._scene = scene

    def __call__(self, version: Version) -> PlainSession:
        super().__call__(version)
        return AnsweringSession(version, self._scene)


class Scene:
    """One worker's comparisons, with a real cache, and what the tests look at; begun and closed by ``async with``."""

    def __init__(self, *, running: Executor | None = None, writing: Executor | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.registry = cast("Any", MemoryRegistry())
        self.loader = SessionLoader(self)
        self.answer: Answer = double
        self.asked: list[tuple[tuple[str, ...], dict[str, Any]]] = []
        self.cancellations: list[Cancellation] = []
        self.run_seconds = 0.0
        """How long a run of the shadow takes."""
        self.late_seconds = 0.0
        self.worker_runs = 0
        self.is_busy = False
        """Whether the worker makes runs all the time."""
        self.is_running = False
        """Whether a long one is under way."""
        self.running = running or ImmediateExecutor()
        self.cache: SessionCache[Any] = SessionCache(
            budget_bytes=2 * MIB,
            load=self.loader,
            executor=ImmediateExecutor(),
            freed=lambda: None,
            clock=self.clock,
        )
        self.shadowing = Shadowing(
            self.cache,
            self.registry,
            running=self.running,
            writing=writing or ImmediateExecutor(),
            count_runs=self._count_runs,
            is_running=lambda: self.is_running,
            clock=self.clock,
        )

    async def __aenter__(self) -> Self:
        self.shadowing.start()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.shadowing.close()

    def clock(self) -> float:
        return self.loop.time() + self.late_seconds

    def _count_runs(self) -> int:
        self.worker_runs += self.is_busy
        return self.worker_runs

    def tap(self, version: Version = SHADOW, *, share: float = 1.0, alias: str = "production", trial: int = 3) -> Tap:
        whose = trial_of(version.model, alias, trial)
        return Tap(whose, version, share, ("label", "scores"), self.shadowing)

    def offer(self, tap: Tap, *values: float) -> None:
        """Offer a request whose live answer is ``double``."""
        feed = feed_of(*values)
        tap.offer(feed, None, list(double(feed).values()))

    def written(self, model: str = "iris", alias: str = "production", trial: int = 3) -> ShadowReport:
        """Add up what the registry was told of a trial."""
        whose = trial_of(model, alias, trial)
        found = [report for trial, report in self.registry.shadow_reports if trial == whose]
        return reduce(ShadowReport.plus, found, ShadowReport())


def trial_of(model: str = "iris", alias: str = "production", number: int = 3) -> Trial:
    """Return the trial of a scene's tap: version 2 beside version 1."""
    return Trial(model=model, alias=alias, number=number, live=1, shadow=2)


def alike(count: int, rows: int = 1) -> ShadowReport:
    """Return what so many requests of so many rows show whose answers are the same."""
    return ShadowReport(
        compared=count,
        outputs={
            "label": OutputDifference(compared=count, same=count, rows=count * rows),
            "scores": OutputDifference(compared=count, same=count, pairs=count * rows),
        },
    )
