"""What stays loaded because somebody said so."""

import asyncio
from collections.abc import Sequence

from structlog.testing import capture_logs

from gateway.serving.pins import Pins
from gateway.serving.session_cache import SessionCache
from registry.errors import LoadFailed, ModelNotFound, RegistryUnavailable, ServiceError
from registry.events import Event, EventKind
from registry.names import Reference
from registry.records import Version
from tests.support.serving_models import CREATED_AT, make_version
from tests.support.sessions import MIB, Loader, PlainSession
from tests.support.virtual_time import ImmediateExecutor, run_virtually, settle

FIRST, SECOND = (make_version("iris", number, memory_bytes=MIB) for number in (1, 2))
OTHER = make_version("other", memory_bytes=MIB)
BIG = make_version("big", memory_bytes=2 * MIB)
MOVED = Event(
    sequence=1,
    kind=EventKind.ALIAS_MOVED,
    at=CREATED_AT,
    actor="ada",
    model="iris",
    version=2,
    alias="production",
    detail={},
)


class Bench:
    """A cache with room for three small models, and a table of where references lead."""

    def __init__(self, *references: str) -> None:
        self.loader = Loader()
        self.leads: dict[str, Sequence[Version] | ServiceError] = {"iris": [FIRST], "big": [BIG], "other": [OTHER]}
        loop = asyncio.get_running_loop()
        self.cache: SessionCache[PlainSession] = SessionCache(
            budget_bytes=3 * MIB, load=self.loader, executor=ImmediateExecutor(), freed=lambda: None, clock=loop.time
        )
        self.pins = Pins(
            references,
            find=self.find,
            cache=self.cache,
            expect=self.loader.expect,
            budget_bytes=3 * MIB,
            clock=loop.time,
        )

    async def find(self, reference: Reference) -> Sequence[Version]:
        found = self.leads[reference.model]
        if isinstance(found, ServiceError):
            raise found
        return found

    async def scan(self) -> None:
        """Load more than there is room for."""
        for number in range(5):
            version = make_version(f"cold-{number}", memory_bytes=MIB)
            await self.cache.preload(version, asyncio.get_running_loop().time() + 1)


def test_what_is_pinned_is_loaded_at_the_start_and_stays() -> None:
    async def test() -> None:
        bench = Bench("iris", "other")
        await bench.pins.start()
        await bench.scan()
        assert bench.cache.resident() == ("iris:1", "other:1", "cold-4:1")
        await bench.pins.close()

    run_virtually(test)


def test_a_pin_follows_its_alias_at_once() -> None:
    async def test() -> None:
        bench = Bench("iris")
        await bench.pins.start()
        bench.leads["iris"] = [SECOND]
        bench.pins.notice(MOVED)
        await settle()
        await bench.scan()
        assert bench.cache.resident() == ("iris:2", "cold-3:1", "cold-4:1")
        await bench.pins.close()

    run_virtually(test)


def test_an_event_about_another_model_changes_nothing() -> None:
    async def test() -> None:
        bench = Bench("other")
        await bench.pins.start()
        bench.leads["other"] = [SECOND]
        bench.pins.notice(MOVED)
        await settle()
        assert bench.cache.resident() == ("other:1",)
        await bench.pins.close()

    run_virtually(test)


def test_a_canary_is_pinned_like_the_version_beside_it() -> None:
    async def test() -> None:
        bench = Bench("iris")
        bench.leads["iris"] = [FIRST, SECOND]
        await bench.pins.start()
        await bench.scan()
        assert bench.cache.resident() == ("iris:1", "iris:2", "cold-4:1")
        await bench.pins.close()

    run_virtually(test)


def test_what_does_not_fit_beside_the_pins_before_it_is_left_out_and_logged_once() -> None:
    async def test() -> None:
        bench = Bench("big", "iris", "other")
        with capture_logs() as logs:
            await bench.pins.start()
            await asyncio.sleep(60)
        left_out = [(line["reference"], line["code"]) for line in logs if line["event"] == "not_pinned"]
        assert left_out == [("other:1", "insufficient_memory")]
        assert bench.cache.resident() == ("big:1", "iris:1")
        await bench.pins.close()

    run_virtually(test)


def test_what_cannot_be_loaded_now_is_tried_again_and_logged_once() -> None:
    async def test() -> None:
        bench = Bench("iris")
        bench.loader.errors["iris:1"] = LoadFailed("no")
        with capture_logs() as logs:
            await bench.pins.start()
            await asyncio.sleep(30)
            bench.loader.errors.clear()
            await asyncio.sleep(300)
        assert [line["event"] for line in logs] == ["not_pinned", "pinned"]
        assert bench.cache.resident() == ("iris:1",)
        await bench.pins.close()

    run_virtually(test)


def test_while_the_registry_is_away_the_pins_stay_as_they_were() -> None:
    async def test() -> None:
        bench = Bench("iris")
        await bench.pins.start()
        bench.leads["iris"] = RegistryUnavailable("away")
        await asyncio.sleep(30)
        await bench.scan()
        assert bench.cache.resident() == ("iris:1", "cold-3:1", "cold-4:1")
        await bench.pins.close()

    run_virtually(test)


def test_what_leads_nowhere_any_more_is_pinned_no_more() -> None:
    async def test() -> None:
        bench = Bench("iris")
        await bench.pins.start()
        bench.leads["iris"] = ModelNotFound("gone")
        await asyncio.sleep(30)
        await bench.scan()
        assert bench.cache.resident() == ("cold-2:1", "cold-3:1", "cold-4:1")
        await bench.pins.close()

    run_virtually(test)


def test_a_malformed_reference_is_logged_and_harms_no_other() -> None:
    async def test() -> None:
        with capture_logs() as logs:
            bench = Bench("no/name", "iris")
            await bench.pins.start()
        assert [(line["event"], line.get("reference")) for line in logs] == [
            ("not_pinned", "no/name"),
            ("pinned", None),
        ]
        await bench.pins.close()

    run_virtually(test)
