"""Whether a gateway has the hits that its plan says: `make bench-plan`.

1. Fifteen different files (tiny ones, perceptrons of up to 6 MB) are registered under forty names each; what is worth
   it is prepared before it begins. For each room (a share of what all sessions would take) a gateway starts anew, cold.
2. Eight connections ask for a model by the law of Zipf, each time after a pause that differs, for a minute and a half;
   after half of the time the order of the models is another one, so that what was popular is so no more.
3. What the gateway had is counted by itself: one less its misses for each request. What it should have had says
   `sardonyx plan` on the log of that very run, with the costs of its registry.
4. Wrong is: more than 5 points between them; any answer but 200; a run without evictions.
"""

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from bench.http_connection import Connection
from bench.memory import metrics_of
from bench.servers import HOST, Server, ServerFailedError, running
from bench.soak_gateway import LOG, start_gateway, wait_until_prepared
from bench.soak_models import perceptron
from examples import first_run

FILE_COUNT = 15
NAMES_EACH = 40
MODEL_COUNT = FILE_COUNT * NAMES_EACH
ROOMS = (0.05, 0.1, 0.2, 0.4)
EXPONENT = 1.0
INPUTS = 128
CONNECTIONS = 8
PAUSE_SECONDS = 0.02
POINTS = 0.05
_SMALL_FILES = FILE_COUNT // 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one gateway has done, and what it was expected to."""

    room: float
    requests: int
    hit_rate: float
    planned: dict[str, Any]
    evictions: float
    loads: float
    cold_p99_seconds: float
    """Of the requests whose lines say that they took longest, as many as were misses."""
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def is_right(self) -> bool:
        """Whether rule 4 holds."""
        is_near = abs(self.hit_rate - self.planned["hit_rate"]) <= POINTS
        return is_near and not self.failures and self.evictions > 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.plan_validation", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=90, help="how long each gateway is asked (90)")
    parser.add_argument("--workers", type=int, default=1, help="how many it has (1)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sardonyx-plan-") as name:
        folder = Path(name)
        try:
            session_bytes = register_all(folder)
            runs = [
                run_with(folder, room, int(room * session_bytes), seconds=chosen.seconds, workers=chosen.workers)
                for room in ROOMS
            ]
        except (ServerFailedError, first_run.RefusedError) as error:
            print(error, file=sys.stderr)
            return 1
    return report(runs)


def register_all(folder: Path) -> int:
    """Register all models, and return what all their sessions would take."""
    with running(start_gateway(folder, {})) as server:
        sizes: list[int] = []
        for number in range(FILE_COUNT):
            path = folder / f"{number}.onnx"
            path.write_bytes(perceptron(number, (INPUTS, *_hidden(number), 8)))
            for name in range(NAMES_EACH):
                first_run.register(server.port, _name(number + FILE_COUNT * name), path, "for a plan")
            _, version = first_run.ask(server.port, "GET", f"/registry/models/{_name(number)}/versions/1")
            sizes.append(version["memory_bytes"])
        wait_until_prepared(folder / LOG, FILE_COUNT - _SMALL_FILES)
        prepared: dict[int, int] = {
            int(line["model"][8:]) % FILE_COUNT: line["memory_bytes"]
            for line in map(orjson.loads, (folder / LOG).read_bytes().splitlines())
            if line["event"] == "prepared"
        }
    return NAMES_EACH * sum(max(128 * 1024, prepared.get(number, size)) for number, size in enumerate(sizes))


def _hidden(number: int) -> tuple[int, ...]:
    """A third of the files are tiny; of the others the largest has two million weights."""
    return (32,) if number < _SMALL_FILES else (256 * (number - _SMALL_FILES + 1), 512)


def _name(number: int) -> str:
    return f"planned-{number:04}"


def run_with(folder: Path, room: float, budget_bytes: int, *, seconds: float, workers: int) -> Run:
    """Ask a gateway with so much room, and plan what its log says."""
    before = (folder / LOG).stat().st_size
    failures: Counter[str] = Counter()
    settings = {"SARDONYX_MEMORY_BUDGET": str(budget_bytes), "SARDONYX_WORKERS": str(workers)}
    with running(start_gateway(folder, settings)) as server:
        began = metrics_of(server.port)
        asyncio.run(_ask_all(server, seconds, failures))
        ended = metrics_of(server.port)
        counted = {name: ended[name] - began.get(name, 0.0) for name in ended}
        time.sleep(1)  # the last lines are written a fifth of a second later
        log = folder / f"room-{room}.log"
        log.write_bytes(_prepared_lines(folder / LOG, before) + (folder / LOG).read_bytes()[before:])
        planned = plan(server, log, budget_bytes, workers)
    misses = counted["sardonyx_cache_misses_total"]
    requests = planned["load"]["requests"]
    return Run(
        room=room,
        requests=requests,
        hit_rate=1 - misses / requests,
        planned=planned["plans"][0],
        evictions=counted["sardonyx_cache_evictions_total"],
        loads=counted["sardonyx_loads_total"],
        cold_p99_seconds=_slowest(log, int(misses)),
        failures=failures,
    )


def _prepared_lines(log: Path, end: int) -> bytes:
    lines = log.read_bytes()[:end].splitlines(keepends=True)
    return b"".join(line for line in lines if b'"event":"prepared"' in line)


def _slowest(log: Path, count: int) -> float:
    lines = (orjson.loads(line) for line in log.read_bytes().splitlines())
    seconds = sorted(line["seconds"] for line in lines if line["event"] == "request" and line["model"])
    return float(np.percentile(seconds[-max(1, count) :], 99))


def plan(server: Server, log: Path, budget_bytes: int, workers: int) -> dict[str, Any]:
    """Return what the command says of a log, in its own words."""
    program = str(Path(sys.executable).with_name("sardonyx"))
    url = f"http://{HOST}:{server.port}"
    options = ["--hosts", "1", "--memory", str(budget_bytes), "--workers", str(workers), "--balance", "hash"]
    done = subprocess.run(
        [program, "plan", "--json", "--url", url, "--log", str(log), "--store-delay", "0", *options],
        check=True,
        capture_output=True,
    )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


async def _ask_all(server: Server, seconds: float, failures: Counter[str]) -> None:
    middle = time.monotonic() + seconds / 2
    orders = [random.Random(number).sample(range(MODEL_COUNT), MODEL_COUNT) for number in range(2)]  # noqa: S311
    await asyncio.gather(
        *(_ask(server, orders, (middle, middle + seconds / 2), failures, seed) for seed in range(CONNECTIONS))
    )


async def _ask(
    server: Server, orders: Sequence[Sequence[int]], ends: Sequence[float], failures: Counter[str], seed: int
) -> None:
    choice = random.Random(seed)  # noqa: S311  a load, not a secret
    weights = list(accumulate(float((rank + 1) ** -EXPONENT) for rank in range(MODEL_COUNT)))
    body = orjson.dumps({"inputs": {"x": np.full((1, INPUTS), 0.5, np.float32).tolist()}})
    connection = Connection(server.port)
    for order, until in zip(orders, ends, strict=True):
        while time.monotonic() < until:
            (rank,) = choice.choices(range(MODEL_COUNT), cum_weights=weights)
            answer = await connection.request("POST", f"/v1/models/{_name(order[rank])}/predict", body)
            if answer.status != 200:
                failures[f"{answer.status} {answer.body[:300]!r}"] += 1
            await asyncio.sleep(choice.uniform(0, 2 * PAUSE_SECONDS))
    connection.close()


def report(runs: Sequence[Run]) -> int:
    """Print what has happened and return the exit code."""
    print(f"{MODEL_COUNT} models; each gateway begins cold, and half way other models are popular")
    print(
        f"{'room':>6}{'requests':>10}{'hit rate':>10}{'planned':>10}{'points':>8}"
        f"{'loads':>8}{'planned':>9}{'cold p99':>10}{'planned':>9}"
    )
    for run in runs:
        planned = run.planned
        seconds = run.requests / planned["requests_per_second"]
        points = 100 * (planned["hit_rate"] - run.hit_rate)
        print(
            f"{run.room:>6.0%}{run.requests:>10}{run.hit_rate:>10.2%}{planned['hit_rate']:>10.2%}{points:>+8.1f}"
            f"{run.loads:>8.0f}{planned['loads_per_second'] * seconds:>9.0f}"
            f"{run.cold_p99_seconds * 1000:>7.1f} ms{planned['cold_p99_seconds'] * 1000:>6.1f} ms"
        )
        for words, count in run.failures.most_common(3):
            print(f"  {count} times: {words}")
    return 0 if all(run.is_right for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
