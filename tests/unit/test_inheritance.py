"""What a worker that takes another's place loads before it takes connections."""

import asyncio
from datetime import UTC, datetime

from gateway.serving.inheritance import SECONDS, list_inheritance, load_ahead
from registry.errors import InsufficientMemory, VersionRetired
from registry.names import Reference, parse_reference
from registry.records import Version, WorkerReport
from registry.standing import Isolation
from tests.support.serving_models import make_version
from tests.support.virtual_time import run_virtually

OWN, LIVING, DEAD = 10, 11, 12


def report(pid: int, *resident: str, host: str = "here") -> WorkerReport:
    return WorkerReport(host=host, pid=pid, applied=1, resident=resident, reported_at=datetime(2026, 11, 1, tzinfo=UTC))


def inheritance(*reports: WorkerReport) -> list[str]:
    found = list_inheritance(reports, "here", OWN)
    return [f"{reference.model}:{reference.version}" for reference in found]


def test_what_most_workers_of_the_host_had_loaded_comes_first() -> None:
    reports = report(LIVING, "iris:1", "wine:2"), report(DEAD, "wine:2", "beer:3"), report(DEAD, "rum:4", host="there")
    assert inheritance(*reports) == ["wine:2", "iris:1", "beer:3"]


def test_what_it_has_said_itself_and_what_other_hosts_have_said_is_not_loaded_first() -> None:
    assert inheritance(report(OWN, "iris:1"), report(LIVING, "rum:4", host="there")) == []


class Heirs:
    """A worker that loads each version in a fifth of a second."""

    def __init__(self, *models: str, isolated: str = "", is_registry_silent: bool = False) -> None:
        self.loaded: list[str] = []
        self._models = models
        self._isolated = isolated
        self._is_registry_silent = is_registry_silent

    async def find_references(self) -> list[Reference]:
        if self._is_registry_silent:
            await asyncio.sleep(60)
        return [parse_reference(f"{model}:1") for model in self._models]

    async def find(self, reference: Reference) -> Version:
        if reference.model == "gone":
            raise VersionRetired("it is retired")
        assert reference.version is not None
        return make_version(reference.model, reference.version)

    async def load(self, version: Version) -> None:
        if version.model == "large":
            raise InsufficientMemory("no memory is free")
        await asyncio.sleep(0.2)
        self.loaded.append(version.model)

    def isolation_of(self, version: Version) -> Isolation:
        return Isolation.ISOLATED if version.model == self._isolated else Isolation.IN_PROCESS


def inherited(
    *models: str,
    isolated: str = "",
    is_registry_silent: bool = False,
    last: str = "nothing",
    seconds: float = SECONDS,
    width: int = 1,
) -> tuple[list[str], float]:
    """Return what was loaded, and the seconds it took."""

    async def run() -> tuple[list[str], float]:
        loop = asyncio.get_running_loop()
        heirs = Heirs(*models, isolated=isolated, is_registry_silent=is_registry_silent)
        began = loop.time()
        count = await load_ahead(
            heirs.find_references,
            find=heirs.find,
            load=heirs.load,
            isolation_of=heirs.isolation_of,
            is_over=lambda: last in heirs.loaded,
            seconds=seconds,
            width=width,
        )
        assert count == len(heirs.loaded)
        return heirs.loaded, round(loop.time() - began, 6)

    return run_virtually(run)


def test_what_is_gone_does_not_fit_or_runs_elsewhere_is_left_out() -> None:
    assert inherited("gone", "iris", "large", "deadly", "wine", isolated="deadly") == (["iris", "wine"], 0.4)


def test_loading_ends_in_time_however_much_there_is() -> None:
    assert inherited("a", "b", "c", "d", "e") == (["a", "b"], SECONDS)


def test_a_silent_registry_is_not_waited_for_any_longer() -> None:
    assert inherited("a", is_registry_silent=True) == ([], SECONDS)


def test_a_share_is_loaded_several_at_a_time_and_has_longer() -> None:
    loaded, seconds = inherited("a", "large", "b", "c", "d", "e", seconds=20, width=4)
    assert (sorted(loaded), seconds) == (["a", "b", "c", "d", "e"], 0.4)


def test_nothing_more_is_begun_once_nobody_will_ask() -> None:
    assert inherited("a", "b", "c", "d", last="b", seconds=20) == (["a", "b"], 0.4)
