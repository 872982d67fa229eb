"""A minute of mixed load while models are evicted, promoted and rolled back: `make soak`.

1. Six models of two versions each, all of them prepared before it begins; the memory budget, from what they then take,
   holds three of the twelve.
2. 32 connections predict through the alias `production`, each time a model and an input at random (seeded).
3. Meanwhile every 200 ms one model's second version is promoted, or that promotion is rolled back.
4. Every answer is compared, bit for bit, with what the runtime in this process makes of the version that the
   answer names, and its headers with its body. Anything else than a right 200 is a failure; one is too many.
5. A run without evictions has proved nothing and fails as well.
"""

import argparse
import asyncio
import collections
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from bench.http_connection import Connection
from bench.servers import Server, ServerFailedError, free_port, running
from bench.soak_judgement import Judge
from bench.soak_models import MODEL_COUNT, Rows, SoakVersion, make_inputs, make_versions
from examples import first_run

CONNECTION_COUNT = 32
MOVE_SECONDS = 0.2
MODELS_IN_BUDGET = 3
PREPARING_SECONDS = 120
LOG = "sardonyx.log"


@dataclass(slots=True)
class Tally:
    """What has happened so far."""

    answered: int = 0
    moves: int = 0
    by_version: collections.Counter[str] = field(default_factory=collections.Counter)
    failures: collections.Counter[str] = field(default_factory=collections.Counter)
    slowest_seconds: float = 0.0


class Soak:
    """The load, the moves, and the judgement of every answer."""

    def __init__(
        self,
        port: int,
        versions: Sequence[SoakVersion],
        inputs: Sequence[Rows],
        *,
        until: float,
    ) -> None:
        self.tally = Tally()
        self._port = port
        self._judge = Judge(versions)
        self._bodies = [orjson.dumps({"inputs": {"x": rows.tolist()}}) for rows in inputs]
        self._until = until

    async def run(self) -> None:
        """Load and move until the time is over."""
        load = [self._until_the_end(self._predictor(seed)) for seed in range(CONNECTION_COUNT)]
        await asyncio.gather(*load, self._until_the_end(self._mover()))

    async def _until_the_end(self, act: Callable[[Connection], Awaitable[None]]) -> None:
        connection = Connection(self._port)
        try:
            while time.monotonic() < self._until:
                try:
                    await act(connection)
                except (OSError, EOFError, TimeoutError) as error:
                    self.tally.failures[f"connection: {type(error).__name__}"] += 1
                    connection.close()
        finally:
            connection.close()

    def _predictor(self, seed: int) -> Callable[[Connection], Awaitable[None]]:
        choice = random.Random(seed)  # noqa: S311  a load, not a secret

        async def predict(connection: Connection) -> None:
            model, index = f"soak-{choice.randrange(MODEL_COUNT)}", choice.randrange(len(self._bodies))
            began = time.monotonic()
            answer = await connection.request("POST", f"/models/{model}/predict", self._bodies[index])
            self.tally.slowest_seconds = max(self.tally.slowest_seconds, time.monotonic() - began)
            fault = self._judge.fault(answer, model, index)
            if fault is None:
                self.tally.answered += 1
                self.tally.by_version[f"{model}:{answer.headers['x-model-version']}"] += 1
            else:
                self.tally.failures[f"predict: {fault}"] += 1

        return predict

    def _mover(self) -> Callable[[Connection], Awaitable[None]]:
        live = dict.fromkeys((f"soak-{model}" for model in range(MODEL_COUNT)), 1)
        turn = 0

        async def move(connection: Connection) -> None:
            nonlocal turn
            began = time.monotonic()
            model = f"soak-{turn % MODEL_COUNT}"
            turn += 1
            route = f"/registry/models/{model}/aliases/production"
            if live[model] == 1:
                answer = await connection.request("PUT", route, b'{"version": 2, "expected": 1}')
            else:
                answer = await connection.request("POST", route + "/rollback", b"{}")
            if answer.status == 200:
                live[model] = 3 - live[model]
                self.tally.moves += 1
            else:
                self.tally.failures[f"move: {answer.status} {answer.body[:300]!r}"] += 1
            await asyncio.sleep(MOVE_SECONDS - (time.monotonic() - began))

        return move


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="how long (60)")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="sardonyx-soak-") as name:
        folder = Path(name)
        inputs = make_inputs()
        versions = make_versions(folder, inputs)
        try:
            budget_bytes = register_all(folder, versions)
            with running(start_gateway(folder, {"SARDONYX_MEMORY_BUDGET": str(budget_bytes)})) as server:
                soak = Soak(server.port, versions, inputs, until=time.monotonic() + seconds)
                asyncio.run(soak.run())
                evictions = asyncio.run(read_evictions(server.port))
        except (ServerFailedError, first_run.RefusedError) as error:
            print(error, file=sys.stderr)
            return 1
    return report(soak.tally, evictions, seconds=seconds, budget_bytes=budget_bytes)


def start_gateway(folder: Path, settings: dict[str, str]) -> Server:
    port = free_port()
    program = str(Path(sys.executable).with_name("sardonyx"))
    command = [program, "serve", "--host", "127.0.0.1", "--port", str(port), "--data-dir", str(folder / "data")]
    return Server(command, port=port, ready_path="/health/ready", log=folder / LOG, settings=settings)


def register_all(folder: Path, versions: Sequence[SoakVersion]) -> int:
    """Register and promote, and return the budget that holds three of the versions, by the bytes that they take."""
    with running(start_gateway(folder, {})) as server:
        for version in versions:
            number = first_run.register(server.port, version.model, version.path, "for the soak")
            if number != version.number:
                raise first_run.RefusedError(f"{version.model} got the number {number} instead of {version.number}")
            first_run.promote_unless_promoted(server.port, version.model, number)
        measured = wait_until_prepared(folder / LOG, len(versions))
    return max(measured) * MODELS_IN_BUDGET + max(measured) // 2


def wait_until_prepared(log: Path, count: int) -> list[int]:
    """Return the bytes that each version takes, once the gateway's log says so of all."""
    deadline = time.monotonic() + PREPARING_SECONDS
    while True:
        lines = [orjson.loads(line) for line in log.read_bytes().rpartition(b"\n")[0].splitlines()]
        measured = [line["memory_bytes"] for line in lines if line["event"] == "prepared"]
        if len(measured) >= count:
            return measured
        if time.monotonic() > deadline:
            raise ServerFailedError(f"only {len(measured)} of {count} models were prepared in {PREPARING_SECONDS} s")
        time.sleep(0.1)


async def read_evictions(port: int) -> float:
    """Sum the samples of /metrics that count evictions."""
    connection = Connection(port)
    try:
        answer = await connection.request("GET", "/metrics")
    finally:
        connection.close()
    samples = [line.rsplit(" ", 1) for line in answer.body.decode().splitlines() if not line.startswith("#")]
    return sum(float(value) for name, value in samples if "eviction" in name and "_created" not in name)


def report(tally: Tally, evictions: float, *, seconds: int, budget_bytes: int) -> int:
    """Print what has happened and return the exit code."""
    failed = sum(tally.failures.values())
    print(f"{CONNECTION_COUNT} connections, {MODEL_COUNT} models, {budget_bytes / 1e6:.1f} MB budget, {seconds} s")
    print(f"right answers   {tally.answered} ({tally.answered / seconds:,.0f} a second)")
    print(f"by version      {dict(sorted(tally.by_version.items()))}")
    print(f"slowest answer  {tally.slowest_seconds:.3f} s")
    print(f"moves           {tally.moves}")
    print(f"evictions       {evictions:.0f}")
    print(f"failures        {failed}")
    for what, count in tally.failures.most_common(20):
        print(f"  {count} x {what}")
    if not evictions or not tally.moves:
        print("nothing was evicted or nothing was moved: this run proves nothing", file=sys.stderr)
        return 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
