"""What stands between an alias and its endpoints while a canary or a shadow is tried."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from gateway.metrics import Metrics
from gateway.serving.routes import Reading
from gateway.serving.shadowing import Shadowing, ShadowStats
from gateway.trials import Trials
from gateway.web.endpoint import Endpoint, EndpointFactory
from registry.errors import RegistryUnavailable
from registry.promotion import AliasMove, Promotion
from registry.records import Alias, Canary, Shadow, Trial
from tests.support.memory_registry import MemoryRegistry
from tests.support.serving_models import CREATED_AT, make_version
from tests.support.virtual_time import ImmediateExecutor, run_virtually, settle

LIVE, CANARY, SHADOW = (make_version("iris", number) for number in (1, 2, 3))
STRICT = Canary(version=2, percent=5, max_error_rate=0.0)
FAILED = "model_execution_failed"


class Drops(Promotion):
    """Only drops canaries, and remembers which; while it is down, it cannot."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Canary | None, str, str]] = []
        self.is_down = False

    def drop_canary(self, seen: Alias, *, actor: str, reason: str) -> AliasMove | None:
        self.asked.append((seen.model, seen.name, seen.canary, actor, reason))
        if self.is_down:
            raise RegistryUnavailable("silent")
        return None


class Scene:
    """The trials of one worker."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.make = EndpointFactory(self.metrics)
        self.drops = Drops()
        executor = ImmediateExecutor()
        self.shadowing = Shadowing(
            cast("Any", None),
            cast("Any", MemoryRegistry()),
            running=executor,
            writing=executor,
            count_runs=lambda: 0,
        )
        self.trials = Trials(self.metrics, self.drops, executor=executor, shadowing=self.shadowing)

    def canary_of(self, canary: Canary = STRICT, *, generation: int = 1, name: str = "production") -> Endpoint:
        """Return what answers for a canary when its alias is read."""
        alias = alias_with(canary=canary, generation=generation, name=name)
        reading = Reading(LIVE, CANARY, 0.05, alias)
        found = self.trials.attend(reading, self.make(LIVE), self.make(CANARY))[1]
        assert found is not None
        return found

    def lines(self) -> list[str]:
        self.metrics.publish()
        return self.metrics.render().decode().splitlines()


def alias_with(
    *, canary: Canary | None = None, shadow: Shadow | None = None, generation: int = 1, name: str = "production"
) -> Alias:
    return Alias(
        model="iris",
        name=name,
        version=1,
        canary=canary,
        generation=generation,
        updated_at=CREATED_AT,
        shadow=shadow,
    )


def virtually(test: Callable[[Scene], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        await test(Scene())

    run_virtually(run)


# --- nothing is tried -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reading",
    [Reading(LIVE), Reading(LIVE, alias=alias_with(canary=STRICT)), Reading(LIVE, alias=alias_with(shadow=None))],
    ids=["no alias", "a canary that is not there", "nothing"],
)
def test_where_nothing_is_tried_the_endpoints_answer_themselves(reading: Reading) -> None:
    async def test(scene: Scene) -> None:
        main = scene.make(LIVE)
        assert scene.trials.attend(reading, main, None) == (main, None)

    virtually(test)


# --- canaries ---------------------------------------------------------------------------------------------------------


def test_answers_of_a_canary_are_counted_as_its_versions_and_apart() -> None:
    async def test(scene: Scene) -> None:
        scene.canary_of().counts.add("ok", 0.002, 3)
        scene.make(CANARY).counts.add("ok", 0.002)
        lines = scene.lines()
        assert 'sardonyx_predict_requests_total{code="ok",model="iris",version="2"} 4.0' in lines
        assert 'sardonyx_canary_requests_total{alias="production",code="ok",model="iris",version="2"} 3.0' in lines

    virtually(test)


def test_a_canary_that_passes_a_limit_is_dropped_by_the_gateway_with_the_reason() -> None:
    async def test(scene: Scene) -> None:
        scene.canary_of().counts.add(FAILED, 0.002)
        await settle()
        reason = "canary dropped: 1 of its last 1 answers failed, more than 0 of them"
        assert scene.drops.asked == [("iris", "production", STRICT, "gateway", reason)]

    virtually(test)


def test_dropping_is_tried_every_five_seconds_until_the_registry_answers() -> None:
    async def test(scene: Scene) -> None:
        scene.drops.is_down = True
        scene.canary_of().counts.add(FAILED, 0.002)
        await asyncio.sleep(12)
        assert len(scene.drops.asked) == 3
        scene.drops.is_down = False
        await asyncio.sleep(60)
        assert (len(scene.drops.asked), len(set(scene.drops.asked))) == (4, 1)

    virtually(test)


def test_an_alias_that_is_read_again_goes_on_with_its_window() -> None:
    async def test(scene: Scene) -> None:
        canary = replace(STRICT, max_error_rate=0.01)
        for _ in range(2):
            scene.canary_of(canary).counts.add(FAILED, 0.002)
        assert len(scene.drops.asked) == 1

    virtually(test)


def test_an_alias_that_has_been_changed_begins_a_new_window() -> None:
    async def test(scene: Scene) -> None:
        canary = replace(STRICT, max_error_rate=0.01)
        for generation in (1, 2, 3):
            scene.canary_of(canary, generation=generation).counts.add(FAILED, 0.002)
        assert scene.drops.asked == []

    virtually(test)


def test_a_canary_that_was_dropped_is_not_dropped_again_until_the_alias_changes() -> None:
    async def test(scene: Scene) -> None:
        asked = []
        for generation in (1, 1, 2):
            scene.canary_of(generation=generation).counts.add(FAILED, 0.002)
            asked.append(len(scene.drops.asked))
        assert asked == [1, 1, 2]

    virtually(test)


def test_one_canary_of_two_aliases_has_two_windows() -> None:
    async def test(scene: Scene) -> None:
        canary = replace(STRICT, max_error_rate=0.01)
        for name in ("production", "blue", "blue"):
            scene.canary_of(canary, name=name).counts.add(FAILED, 0.002)
        assert [asked[1] for asked in scene.drops.asked] == ["blue"]

    virtually(test)


# --- shadows ----------------------------------------------------------------------------------------------------------


def test_the_live_versions_answers_are_offered_to_the_shadow_and_the_canarys_are_not() -> None:
    async def test(scene: Scene) -> None:
        alias = alias_with(canary=STRICT, shadow=Shadow(version=3, percent=100, trial=7))
        reading = Reading(LIVE, CANARY, 0.05, alias, SHADOW)
        main, canary = scene.trials.attend(reading, scene.make(LIVE), scene.make(CANARY))
        assert main.tap is not None
        assert canary is not None
        assert (main.tap.candidate, canary.tap) == (SHADOW, None)
        assert main.tap.trial == Trial(model="iris", alias="production", number=7, live=1, shadow=3)

    virtually(test)


def test_whoever_looks_at_a_version_anyway_is_offered_the_same_as_the_shadow() -> None:
    async def test(scene: Scene) -> None:
        offered: list[Any] = []
        looking = cast("Any", SimpleNamespace(offer=lambda *what: offered.append(what)))
        make = EndpointFactory(scene.metrics, lambda _: looking)
        alias = alias_with(canary=STRICT, shadow=Shadow(version=3, percent=100, trial=7))
        main, canary = scene.trials.attend(Reading(LIVE, CANARY, 0.05, alias, SHADOW), make(LIVE), make(CANARY))
        assert (main.tap is not None, canary is not None and canary.tap is looking) == (True, True)
        for _ in range(70):
            cast("Any", main.tap).offer({}, None, [np.zeros(1), np.zeros(1)])
        assert (len(offered), scene.shadowing.stats) == (70, ShadowStats(skipped=6))

    virtually(test)


@pytest.mark.parametrize(("percent", "skipped"), [(100, 6), (1e-9, 0)], ids=["all", "hardly any"])
def test_a_shadow_gets_its_share_of_the_requests(percent: float, skipped: int) -> None:
    async def test(scene: Scene) -> None:
        alias = alias_with(shadow=Shadow(version=3, percent=percent, trial=7))
        main, _ = scene.trials.attend(Reading(LIVE, alias=alias, shadow=SHADOW), scene.make(LIVE), None)
        assert main.tap is not None
        for _ in range(70):
            main.tap.offer({}, None, [np.zeros(1), np.zeros(1)])
        assert scene.shadowing.stats == ShadowStats(skipped=skipped)

    virtually(test)


def test_a_shadow_that_is_not_there_gets_nothing() -> None:
    async def test(scene: Scene) -> None:
        alias = alias_with(shadow=Shadow(version=3, percent=100, trial=7))
        main, canary = scene.trials.attend(Reading(LIVE, alias=alias), scene.make(LIVE), None)
        assert (main.tap, canary) == (None, None)

    virtually(test)
