"""Requests for 2,000 models by the law of Zipf, with room for a tenth of them: `make bench-zipf`.

1. Twenty different files (tiny ones, perceptrons of up to 6 MB) are registered under a hundred names each; what is
   worth it is prepared before it begins. The budget is a tenth of what all sessions would take.
2. Eight connections ask at a moderate pace, each time a model by its rank: first only for the fifty most popular
   ones, which are all loaded, then for all.
3. A hit is told by its model: the fifty most popular ones are hits whenever the choice of the victims is right, and
   where it is not, their misses count as slow hits here.
4. Every second the cache's bytes (/metrics) and the worker's Anonymous memory (smaps_rollup) are read. What the
   worker's own tables grow to with 2,000 models is no session; it is shown.
5. Wrong are: any answer but 200; more bytes than the budget in any sample; a 99th percentile of the hits above twice
   that of the first part, or 20 ms if that is more; a run without evictions.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import orjson

from bench.http_connection import Connection
from bench.memory import metrics_of, taken_by
from bench.servers import Server, ServerFailedError, running
from bench.soak_gateway import LOG, start_gateway
from bench.soak_models import perceptron
from examples import first_run

FILE_COUNT = 20
NAMES_EACH = 100
MODEL_COUNT = FILE_COUNT * NAMES_EACH
POPULAR = 50
ROOM = 0.1
EXPONENT = 1.0
INPUTS = 128
CONNECTIONS = 8
PAUSE_SECONDS = 0.02
HIT_SECONDS = 0.020
PREPARING_SECONDS = 120.0


@dataclass(slots=True)
class Part:
    """What one part of the run came to."""

    hits: list[float] = field(default_factory=list)
    """Seconds of each answer of a popular model."""
    others: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    samples: list[tuple[float, int]] = field(default_factory=list)
    """The cache's bytes and the worker's, once a second."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.zipf", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=300, help="how long the second part takes (300)")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="sardonyx-zipf-") as name:
        folder = Path(name)
        try:
            budget_bytes = register_all(folder)
            gateway = start_gateway(folder, {"SARDONYX_MEMORY_BUDGET": str(budget_bytes)})
            with running(gateway) as server, ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
                start_bytes = taken_by(server.pid).anonymous_bytes
                run_part(server, other, POPULAR, 5)
                calm = run_part(server, other, POPULAR, 20)
                before = metrics_of(server.port)
                zipf = run_part(server, other, MODEL_COUNT, seconds)
                after = metrics_of(server.port)
        except (ServerFailedError, first_run.RefusedError) as error:
            print(error, file=sys.stderr)
            return 1
    counted = {name: after[name] - before[name] for name in after}
    return judge(calm, zipf, counted, budget_bytes=budget_bytes, start_bytes=start_bytes)


def register_all(folder: Path) -> int:
    """Register all models and return the budget."""
    with running(start_gateway(folder, {})) as server:
        for number in range(FILE_COUNT):
            path = folder / f"{number}.onnx"
            path.write_bytes(perceptron(number, (INPUTS, *_hidden(number), 8)))
            for name in range(NAMES_EACH):
                first_run.register(server.port, _name(number + FILE_COUNT * name), path, "for the law of Zipf")
        _wait_until_calm(server, folder / LOG)
        prepared = {line["model"]: line["memory_bytes"] for line in _log(folder / LOG) if line["event"] == "prepared"}
        taken = 0
        for number in range(FILE_COUNT):
            _, version = first_run.ask(server.port, "GET", f"/registry/models/{_name(number)}/versions/1")
            sizes = [size for model, size in prepared.items() if int(model[5:]) % FILE_COUNT == number]
            taken += NAMES_EACH * max(128 * 1024, *sizes, 0 if sizes else version["memory_bytes"])
    return int(taken * ROOM)


def _hidden(number: int) -> tuple[int, ...]:
    """Half of the files are tiny; of the others the largest has two million weights."""
    return (32,) if number < FILE_COUNT // 2 else (256 * (number - FILE_COUNT // 2 + 1), 512)


def _name(rank: int) -> str:
    return f"zipf-{rank:04}"


def _log(path: Path) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in path.read_bytes().rpartition(b"\n")[0].splitlines()]


def _wait_until_calm(server: Server, log: Path) -> None:
    """Return when nothing has been prepared for five seconds."""
    seen, since, until = -1, time.monotonic(), time.monotonic() + PREPARING_SECONDS
    while time.monotonic() < min(until, since + 5):
        count = int(metrics_of(server.port)["sardonyx_preparations_total"])
        if count != seen:
            seen, since = count, time.monotonic()
        time.sleep(0.5)
    if not any(line["event"] == "prepared" for line in _log(log)):
        raise ServerFailedError("no model was prepared")


def run_part(server: Server, other: Executor, model_count: int, seconds: float) -> Part:
    """Ask for so many seconds, and look once a second, in another process.

    To read 40,000 lines of metrics in this one would delay all answers.
    """
    return asyncio.run(_run_part(server, other, model_count, seconds))


async def _run_part(server: Server, other: Executor, model_count: int, seconds: float) -> Part:
    part = Part()
    until = time.monotonic() + seconds
    asking = (_ask(server, part, model_count, until, seed) for seed in range(CONNECTIONS))
    await asyncio.gather(_sample(server, other, part, until), *asking)
    return part


async def _sample(server: Server, other: Executor, part: Part, until: float) -> None:
    loop = asyncio.get_running_loop()
    while time.monotonic() < until:
        part.samples.append(await loop.run_in_executor(other, _look, server.port, server.pid))
        await asyncio.sleep(1)


def _look(port: int, pid: int) -> tuple[float, int]:
    return metrics_of(port)["sardonyx_resident_bytes"], taken_by(pid).anonymous_bytes


async def _ask(server: Server, part: Part, model_count: int, until: float, seed: int) -> None:
    choice = random.Random(seed)  # noqa: S311  a load, not a secret
    weights = list(accumulate(float((rank + 1) ** -EXPONENT) for rank in range(model_count)))
    body = orjson.dumps({"inputs": {"x": np.full((1, INPUTS), 0.5, np.float32).tolist()}})
    connection = Connection(server.port)
    while time.monotonic() < until:
        (rank,) = choice.choices(range(model_count), cum_weights=weights)
        began = time.perf_counter()
        try:
            answer = await connection.request("POST", f"/v1/models/{_name(rank)}/predict", body)
        except (OSError, EOFError, TimeoutError) as error:
            part.failures[type(error).__name__] += 1
            connection.close()
            continue
        (part.hits if rank < POPULAR else part.others).append(time.perf_counter() - began)
        if answer.status != 200:
            part.failures[f"{answer.status} {answer.body[:300]!r}"] += 1
        await asyncio.sleep(choice.uniform(0, 2 * PAUSE_SECONDS))
    connection.close()


def judge(calm: Part, zipf: Part, counted: dict[str, float], *, budget_bytes: int, start_bytes: int) -> int:
    """Print what has happened and return the exit code."""
    quiet, busy, cold = (_percentile(seconds) for seconds in (calm.hits, zipf.hits, zipf.others))
    most_bytes = max(resident for resident, _ in zipf.samples)
    grown_bytes = [taken - start_bytes for _, taken in zipf.samples]
    requests = len(zipf.hits) + len(zipf.others)
    print(f"{MODEL_COUNT} models, a budget of {budget_bytes / 1e6:.1f} MB, {requests} requests")
    print(f"loads {counted['sardonyx_loads_total']:.0f}, evictions {counted['sardonyx_cache_evictions_total']:.0f}")
    times = f"hits {busy * 1000:.1f} ms, without misses {quiet * 1000:.1f} ms, others {cold * 1000:.1f} ms"
    print(f"99th percentiles: {times}")
    print(f"sessions took at most {most_bytes / 1e6:.1f} MB, in {len(zipf.samples)} samples")
    middle, most = statistics.median(grown_bytes), max(grown_bytes)
    print(f"the worker took {middle / 1e6:.1f} MB more than at its start in the middle, {most / 1e6:.1f} MB at most")
    failures = calm.failures + zipf.failures
    print(f"failures {sum(failures.values())} {dict(failures.most_common(5)) or ''}")
    is_right = most_bytes <= budget_bytes and busy <= max(2 * quiet, HIT_SECONDS) and not failures
    return 0 if is_right and counted["sardonyx_cache_evictions_total"] else 1


def _percentile(seconds: list[float]) -> float:
    return float(np.percentile(seconds, 99))


if __name__ == "__main__":
    sys.exit(main())
