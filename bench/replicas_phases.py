"""What happens to the gateways, one thing after the other, each undone again before the next.

1. Each is a phase: calm, the fault, a time in which it lasts, its end, and calm again once the proxy takes the gateway
   for well. While the fault lasts, models are asked for that nobody has asked for before.
2. Which gateway it hits comes by chance, but each of three is hit.
3. A machine that dies loses all processes at once, and its disk: the gateway that comes back finds nothing.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bench.replicas_load import Load
from bench.replicas_network import Host, Network
from bench.replicas_proxy import Proxy
from bench.replicas_world import World
from bench.servers import Server

CALM_SECONDS = 10.0
LASTING_SECONDS = 15.0
CUT_OFF_SECONDS = 45.0
"""Longer than all time limits of proxy and gateway: what waits for the link to come back waits in vain."""
SETTLING_SECONDS = 4.0
"""How long after the fault it takes the proxy to notice, at most; and when half of what is cold is asked for."""
UP = "UP"
CUT_OFF = "cut off from"


@dataclass(frozen=True, slots=True)
class Window:
    """A time in which nothing changed."""

    begin: float
    end: float
    down: frozenset[str]
    """Gateways that the proxy did not take for well."""


@dataclass(slots=True, kw_only=True)
class Phase:
    """One fault, as it went."""

    name: str
    victim: str
    begin: float
    fault_at: float = 0.0
    mended_at: float = 0.0
    end: float = 0.0
    windows: list[Window] = field(default_factory=list)
    """Before, during and after."""


class Faults:
    """Everything that goes wrong.

    Args:
        made: the world.
        proxy: in front of the gateways.
        servers: by host, those that run; kept up to date.
        load: asks for what is cold.
        cold: models that nobody has asked for, some for each phase.
        settings: of gateways that are started again.
    """

    def __init__(
        self,
        made: World,
        proxy: Proxy,
        servers: dict[Host, Server],
        *,
        load: Load,
        cold: Sequence[Sequence[str]],
        settings: Mapping[str, str],
    ) -> None:
        self.phases: list[Phase] = []
        self._made = made
        self._proxy = proxy
        self._servers = servers
        self._load = load
        self._cold = iter(cold)
        self._settings = settings
        self._began = time.monotonic()

    async def run(self, choice: random.Random, newcomer: Host) -> None:
        """Have one thing happen after the other.

        Raises:
            ServerFailedError: a gateway does not come back.
        """
        hosts = sorted(self._servers, key=lambda host: host.number)
        first, second = choice.sample(hosts, len(hosts)), choice.sample(hosts, len(hosts))
        todo: Sequence[tuple[str, Host, Callable[[Host], Awaitable[None]], Callable[[Host], Awaitable[None]]]] = (
            ("killed", first[0], self._kill, self._start),
            ("drained", first[1], self._drain, self._start),
            (f"{CUT_OFF} the database", first[2], _cut(Network.DATABASE), _mend(Network.DATABASE)),
            (f"{CUT_OFF} the store", second[0], _cut(Network.STORE), _mend(Network.STORE)),
            (f"{CUT_OFF} the proxy", second[1], _cut(Network.FRONT), _mend(Network.FRONT)),
        )
        for name, victim, fault, mend in todo:
            async with self._phase(name, victim) as phase:
                await fault(victim)
                await self._last(phase)
                phase.mended_at = time.monotonic()
                await mend(victim)
        async with self._phase("added", newcomer) as phase:
            phase.mended_at = phase.fault_at
            await self._start(newcomer)

    @asynccontextmanager
    async def _phase(self, name: str, victim: Host) -> AsyncIterator[Phase]:
        phase = Phase(name=name, victim=victim.name, begin=time.monotonic())
        self.phases.append(phase)
        await self._watch(phase, CALM_SECONDS)
        phase.fault_at = time.monotonic()
        print(f"{phase.fault_at - self._began:6.1f} s  {victim.name} is {name}", flush=True)
        yield phase
        await asyncio.to_thread(self._proxy.wait_until, lambda states: states[victim.name] == UP)
        print(f"{time.monotonic() - self._began:6.1f} s  the proxy takes it for well", flush=True)
        await self._watch(phase, CALM_SECONDS)
        phase.end = time.monotonic()

    async def _last(self, phase: Phase) -> None:
        """Let the fault last, and ask for what is cold as soon as it is there and again when it has been noticed."""
        cold = next(self._cold)
        half = len(cold) // 2
        early = asyncio.create_task(self._load.ask_once(cold[:half]))
        await asyncio.sleep(SETTLING_SECONDS)
        late = asyncio.create_task(self._load.ask_once(cold[half:]))
        seconds = CUT_OFF_SECONDS if phase.name.startswith(CUT_OFF) else LASTING_SECONDS
        await self._watch(phase, seconds - SETTLING_SECONDS)
        await asyncio.gather(early, late)

    async def _watch(self, phase: Phase, seconds: float) -> None:
        begin, before = time.monotonic(), self._down()
        await asyncio.sleep(seconds)
        phase.windows.append(Window(begin, time.monotonic(), before | self._down()))

    def _down(self) -> frozenset[str]:
        return frozenset(name for name, state in self._proxy.states().items() if state != UP)

    # --- what is done -------------------------------------------------------------------------------------------------

    async def _kill(self, victim: Host) -> None:
        victim.kill()
        await asyncio.to_thread(self._servers.pop(victim).stop)  # which only buries it

    async def _drain(self, victim: Host) -> None:
        await asyncio.to_thread(self._servers.pop(victim).stop)

    async def _start(self, host: Host) -> None:
        server = self._servers[host] = self._made.start(host, self._settings)
        await asyncio.to_thread(server.wait_until_ready)


def _cut(network: Network) -> Callable[[Host], Awaitable[None]]:
    async def cut(victim: Host) -> None:
        victim.cut(network)

    return cut


def _mend(network: Network) -> Callable[[Host], Awaitable[None]]:
    async def mend(victim: Host) -> None:
        victim.mend(network)

    return mend
