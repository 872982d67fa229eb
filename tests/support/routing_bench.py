"""A routing table over a registry in memory, and what its endpoints are."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.serving.last_known import LastKnown
from gateway.serving.routing import Routing
from registry.errors import ServiceError
from registry.names import Reference
from registry.records import Version
from tests.support.memory_registry import MemoryRegistry, resolve
from tests.support.serving_models import make_version
from tests.support.virtual_time import ImmediateExecutor, SteppedExecutor

LIVE = Reference("iris")
FIRST, SECOND, THIRD = (make_version("iris", number) for number in (1, 2, 3))


@dataclass(frozen=True, eq=False)
class Endpoint:
    """What the factory makes: two of them are never equal."""

    version: Version

    @property
    def number(self) -> int:
        return self.version.number


class RoutingBench:
    """A routing table over a registry that has iris 1 (promoted), 2 and 3."""

    def __init__(
        self,
        *,
        stepped: bool = False,
        draws: Sequence[float] = (),
        max_versions: int = 100,
        last_known: LastKnown | None = None,
    ) -> None:
        self.registry = MemoryRegistry()
        for version in (FIRST, SECOND, THIRD):
            self.registry.register(version)
        self.registry.move("iris", 1)
        self.executor = SteppedExecutor() if stepped else ImmediateExecutor()
        self.built: Counter[int] = Counter()
        self.warmed: list[tuple[int, int]] = []
        self.warm_error: ServiceError | None = None
        self.warm_gate: asyncio.Event | None = None
        self.warm_gate_of_third: asyncio.Event | None = None
        """That of version 3, if it is another one."""
        self.routing: Routing[Endpoint] = Routing(
            self.registry,
            resolve=resolve,
            build=self._build,
            warm=self._warm,
            executor=self.executor,
            last_known=last_known,
            clock=asyncio.get_running_loop().time,
            draw=iter(draws).__next__,
            max_versions=max_versions,
            max_visits=3,
        )

    def _build(self, version: Version) -> Endpoint:
        self.built[version.number] += 1
        return Endpoint(version)

    async def _warm(self, old: Version, new: Version) -> None:
        self.warmed.append((old.number, new.number))
        gate = (self.warm_gate_of_third if new.number == 3 else None) or self.warm_gate
        if gate is not None:
            await gate.wait()
        if self.warm_error is not None:
            raise self.warm_error

    def live(self) -> int | None:
        endpoint = self.routing.find(LIVE)
        return None if endpoint is None else endpoint.number
