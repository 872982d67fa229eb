"""The hostile set against a live gateway while it works: `make hostile`.

1. A gateway of two workers, with tokens. Good traffic all the time, from a process of its own (`hostile_good`), every
   answer compared with the runtime's.
2. Quiet first: its latencies, and what its processes hold, are what the end is held against.
3. Then every hostile file through REST, and every request of the fault table, in an order drawn from the seed
   (`hostile_sending`); then one caller kills what another one uses (`hostile_struggle`).
4. It passes if each outcome was allowed, if good requests failed only in a worker that died just then, if good answers
   came nearly as fast as before, and if the gateway holds no more than it did (`hostile_judgement`).
"""

import argparse
import asyncio
import collections
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import orjson

from bench.hostile_good import GoodProcess, good_models, good_traffic
from bench.hostile_judgement import Asked, deaths_in, is_back, most_latency, percentile_of, unforgiven
from bench.hostile_sending import Attacker, Tally
from bench.hostile_struggle import WIDTHS, Struggle, struggle
from bench.http_connection import JSON_BODY, Connection
from bench.servers import CACHE, Server, ServerFailedError, end_tidily, running
from bench.soak_balance import middle
from bench.soak_gateway import LOG, promote, read, register, start_gateway
from bench.soak_readings import Readings
from examples import first_run
from tests.hostile_set.files import file_cases
from tests.hostile_set.request_models import ASKED
from tests.hostile_set.requests import Manner, request_cases
from tests.support import models
from tests.support.tokens import make_token

Item = TypeVar("Item")

WORKERS = 2
RATE = 100.0
QUIET_SECONDS = 45.0
WARM_SECONDS = 10.0
WARM_COUNT = 32
WARM_AT_ONCE = 8
SETTLING_SECONDS = 20.0
READINGS = 5
FILES_AT_ONCE = 2
REQUESTS_AT_ONCE = 3
MOST_LINES = 30
COUNTED = ("descriptors", "threads", "temporary files", "bytes")
"""What has to be back, by a word in the measure's name. The others are told."""
SETTINGS = {
    "SARDONYX_AUTH": "on",
    "SARDONYX_WORKERS": str(WORKERS),
    "SARDONYX_PREDICT_TIMEOUT_SECONDS": "5",
    "SARDONYX_RUN_MEMORY": "512MiB",
    "SARDONYX_MEMORY_BUDGET": "256MiB",
    "SARDONYX_MAX_QUEUE": "32",
}


@dataclass(slots=True)
class Findings:
    """Everything that the verdict is about."""

    tally: Tally = field(default_factory=Tally)
    struggle: Struggle = field(default_factory=Struggle)
    phases: dict[str, tuple[float, float]] = field(default_factory=dict)
    """When each began and ended, in seconds since the epoch."""
    before: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)
    asked: Sequence[Asked] = ()
    deaths: Sequence[float] = ()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Note when it begins and ends."""
        print(f"{name} ...", flush=True)
        began = time.time()
        yield
        self.phases[name] = began, time.time()

    def of(self, name: str) -> list[Asked]:
        """Return the good requests of a phase."""
        began, ended = self.phases[name]
        return [each for each in self.asked if began <= each.began < ended]


class Trial:
    """One run against one gateway."""

    def __init__(self, server: Server, tokens: Sequence[str], readings: Readings, options: argparse.Namespace) -> None:
        self._server = server
        self._admin, self._stranger, self._user = tokens
        self._readings = readings
        self._options = options
        self._choice = random.Random(options.seed)  # noqa: S311  a load, not a secret
        self.findings = Findings()

    async def run(self, good: GoodProcess) -> None:
        """Go through the phases; good traffic is under way already."""
        findings, tally = self.findings, self.findings.tally
        attacker = Attacker(self._server.port, self._admin, tally)
        await self._warm()
        await asyncio.sleep(WARM_SECONDS)
        with findings.phase("quiet"):
            await asyncio.sleep(self._options.quiet)
        findings.before = await self._read()
        with findings.phase("files"):
            await self._send_files(attacker)
        with findings.phase("requests"):
            await self._send_requests(attacker)
        with findings.phase("struggle"):
            tokens = self._admin, self._stranger, self._user
            findings.struggle = await struggle(self._server.port, tokens, seed=self._options.seed)
        await self._retire([*ASKED, *WIDTHS])
        with findings.phase("rest"):
            await asyncio.sleep(SETTLING_SECONDS)
            await asyncio.to_thread(self._server.wait_until_quiet)
        findings.after = await self._read()
        await asyncio.to_thread(good.end)
        findings.asked = good.asked

    async def prepare(self) -> None:
        """Register the good models, and those that hostile requests ask for."""
        connection = Connection(self._server.port, self._admin)
        for name, content in good_models().items():
            await promote(connection, name, await register(connection, name, content))
        for name, model in ASKED.items():
            number = await register(connection, name, model.build().SerializeToString())
            if model.is_isolated:
                path = f"/registry/models/{name}/versions/{number}"
                read(await connection.request("PATCH", path, b'{"isolation": "isolated"}', JSON_BODY), 200)
        connection.close()

    async def _warm(self) -> None:
        """Have every worker do once what it will do again: what it keeps for that is no leak."""

        async def come_and_go(name: str) -> None:
            connection = Connection(self._server.port, self._admin)
            number = await register(connection, name, models.linear(seed=7).SerializeToString())
            path, row = f"/registry/models/{name}/versions/{number}", orjson.dumps({"inputs": [[1, 2, 3, 4]]})
            read(await connection.request("POST", f"/v{number}/models/{name}/predict", row), 200)
            read(await connection.request("GET", path), 200)
            read(await connection.request("DELETE", path), 200)
            connection.close()

        await _each([f"passing-{number}" for number in range(WARM_COUNT)], come_and_go, WARM_AT_ONCE)

    async def _send_files(self, attacker: Attacker) -> None:
        cases = file_cases()
        self._choice.shuffle(cases)
        numbered = [(case, f"file-{number}") for number, case in enumerate(cases)]
        await _each(numbered, lambda item: attacker.upload(*item), FILES_AT_ONCE)

    async def _send_requests(self, attacker: Attacker) -> None:
        cases = request_cases()
        slow = [case for case in cases if case.manner in {Manner.DRIPPING, Manner.STALLING}]
        others = [case for case in cases if case not in slow]
        self._choice.shuffle(others)
        await asyncio.gather(*map(attacker.send, slow), _each(others, attacker.send, REQUESTS_AT_ONCE))

    async def _retire(self, names: Sequence[str]) -> None:
        """Take what was attacked away, so that its processes go."""
        connection = Connection(self._server.port, self._admin)
        for name in names:
            read(await connection.request("DELETE", f"/registry/models/{name}/versions/1"), 200)
        connection.close()

    async def _read(self) -> Mapping[str, float]:
        found = []
        for _ in range(READINGS):
            found.append(await asyncio.to_thread(self._readings.read))
            await asyncio.sleep(1.0)
        return middle(found)


async def _each(items: Sequence[Item], act: Callable[[Item], Awaitable[None]], at_once: int) -> None:
    waiting = iter(items)

    async def work() -> None:
        for item in waiting:
            await act(item)

    await asyncio.gather(*(work() for _ in range(at_once)))


def attack(folder: Path, options: argparse.Namespace) -> Findings:
    """Start everything, run, and return what was found."""
    scratch, data = folder / "tmp", folder / "data"
    scratch.mkdir()
    folders = (scratch, data / "spool", data / "store" / "tmp", data / "cache" / ".tmp")
    with running(start_gateway(folder, {**SETTINGS, "TMPDIR": str(scratch)})) as server:
        roles = {"admin": "admin", "stranger": "predict", "user": "predict"}
        tokens = [make_token(data, role, name=name).text for name, role in roles.items()]
        database = str(data / "registry.sqlite3")
        readings = Readings(
            server.pid, (server.port,), folders, lambda links: sum(link.startswith(database) for link in links)
        )
        trial = Trial(server, tokens, readings, options)
        asyncio.run(trial.prepare())
        with good_traffic(server.port, tokens[0], options.rate, seed=options.seed) as good:
            asyncio.run(trial.run(good))
    trial.findings.deaths = deaths_in((folder / LOG).read_bytes())
    return trial.findings


def report(findings: Findings) -> int:
    """Print what was found and return the exit code."""
    for (kind, outcome), count in sorted(findings.tally.outcomes.items()):
        print(f"  {count:5} x {kind}: {outcome}")
    faults = [
        f"{odd.what}: {odd.outcome} instead of {' or '.join(odd.allowed)}"
        for odd in findings.tally.failures(findings.deaths)
    ]
    lost = unforgiven(findings.asked, findings.deaths)
    failed = sum(1 for each in findings.asked if each.fault)
    print(f"deaths of workers {len(findings.deaths)}, good requests {len(findings.asked)}, of which {failed} failed,")
    print(f"{failed - len(lost)} of those in a worker that died just then")
    faults += [f"a good request: {each.fault}" for each in lost]
    faults += _slow(findings)
    print(f"struggle: {findings.struggle}")
    if not findings.struggle.has_held_out:
        faults.append("the user of an attacked model was not answered often enough, or not rightly")
    faults += _grown(findings)
    for fault, count in collections.Counter(faults).most_common(MOST_LINES):
        print(f"FAILED {count:5} x {fault}")
    print(f"failures {len(faults)}")
    return 1 if faults else 0


def _slow(findings: Findings) -> Iterator[str]:
    quiet = percentile_of(findings.of("quiet"), 0.99)
    for name in findings.phases:
        asked = findings.of(name)
        half, high = percentile_of(asked, 0.5), percentile_of(asked, 0.99)
        began, ended = findings.phases[name]
        print(
            f"{name:9} {ended - began:4.0f} s, {len(asked):6} good: p50 {half * 1e3:6.1f} ms, p99 {high * 1e3:6.1f} ms"
        )
    attacked = [each for name in ("files", "requests", "struggle") for each in findings.of(name)]
    high = percentile_of(attacked, 0.99)
    print(f"p99 under attack {high * 1e3:.1f} ms, at most {most_latency(quiet) * 1e3:.1f} ms")
    if not high <= most_latency(quiet):
        yield f"good answers took {high * 1e3:.1f} ms, instead of {most_latency(quiet) * 1e3:.1f} ms at most (p99)"


def _grown(findings: Findings) -> Iterator[str]:
    for measure, before in findings.before.items():
        after = findings.after[measure]
        print(f"{measure:32}{before:14.0f}{after:14.0f}")
        if any(word in measure for word in COUNTED) and not is_back(measure, before, after):
            yield f"{measure}: {after:.0f} at the end, {before:.0f} before"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.hostile", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of all chance (drawn)")
    parser.add_argument("--rate", type=float, default=RATE, help=f"good requests a second ({RATE:.0f})")
    parser.add_argument("--quiet", type=float, default=QUIET_SECONDS, help=f"seconds of quiet ({QUIET_SECONDS:.0f})")
    options = parser.parse_args()
    end_tidily()
    began = time.monotonic()
    print(f"seed {options.seed}", flush=True)
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sardonyx-hostile-") as name:
        folder = Path(name)
        try:
            findings = attack(folder, options)
        except (ServerFailedError, first_run.RefusedError) as error:
            print(error, file=sys.stderr)
            return 1
        finally:
            if (folder / LOG).exists():
                shutil.copy(folder / LOG, CACHE / "hostile.log")
    code = report(findings)
    print(f"seed {options.seed}, {time.monotonic() - began:.0f} s in all")
    return code


if __name__ == "__main__":
    sys.exit(main())
