"""A thousand times a model is loaded and another dropped for it, and the memory stays: `make bench-cycles`.

1. Ten perceptrons of 1 to 20 MiB, prepared as a gateway prepares them; the budget holds a third of what they take.
   They are asked for in turn, so that most answers need a load.
2. A cycle is an eviction. What the worker takes (Anonymous, smaps_rollup) after cycle 20 and after the last one are
   medians over two rounds of the models: which of them are loaded just then makes a difference.
3. More than 10% above is a failure, as is any answer but 200. So is a worker that is not the one of the beginning.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import orjson

from bench.memory import metrics_of, taken_by
from bench.servers import Server, ServerFailedError, running
from bench.soak_gateway import LOG, start_gateway, wait_until_prepared
from bench.soak_models import perceptron
from examples import first_run
from tests.support.gateway_process import children_of

SIZES_MIB = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20)
FLOATS_PER_MIB = 1 << 18
MARGIN = 1.10
FROM_CYCLE = 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.cycles", description=__doc__.splitlines()[0])
    parser.add_argument("--cycles", type=int, default=1000, help="how many (1000)")
    cycles = parser.parse_args().cycles
    with tempfile.TemporaryDirectory(prefix="sardonyx-cycles-") as name:
        folder = Path(name)
        try:
            budget_bytes = register_all(folder)
            with running(start_gateway(folder, {"SARDONYX_MEMORY_BUDGET": str(budget_bytes)})) as server:
                return judge(*go_round(server, cycles), cycles=cycles, budget_bytes=budget_bytes)
        except (ServerFailedError, first_run.RefusedError) as error:
            print(error, file=sys.stderr)
            return 1


def register_all(folder: Path) -> int:
    """Register the models and return a third of what they take once they are prepared."""
    with running(start_gateway(folder, {})) as server:
        for size in SIZES_MIB:
            path = folder / f"{size}.onnx"
            path.write_bytes(perceptron(size, (512, size * FLOATS_PER_MIB // 512, 1)))
            first_run.register(server.port, f"cycle-{size}", path, "for the cycles")
        return sum(wait_until_prepared(folder / LOG, len(SIZES_MIB))) // 3


def go_round(server: Server, cycles: int) -> tuple[float, float, int]:
    """Ask until there have been so many cycles; return what the worker took first and last, and the requests."""
    body = orjson.dumps({"inputs": [[0.5] * 512]})
    before = children_of(server.pid, "gateway.worker")
    rounds: list[list[int]] = []
    first: list[int] = []
    while (evictions := metrics_of(server.port)["sardonyx_cache_evictions_total"]) < cycles:
        if evictions >= FROM_CYCLE and not first:
            first = rounds[-1]
        rounds.append([_ask(server, size, body) for size in SIZES_MIB])
    if children_of(server.pid, "gateway.worker") != before:
        raise ServerFailedError("the worker was replaced on the way")
    beginning = rounds.index(first)
    return (
        statistics.median(rounds[beginning] + rounds[beginning + 1]),
        statistics.median(rounds[-2] + rounds[-1]),
        len(rounds) * len(SIZES_MIB),
    )


def _ask(server: Server, size: int, body: bytes) -> int:
    status, answer = first_run.ask(server.port, "POST", f"/v1/models/cycle-{size}/predict", body)
    if status != 200:
        raise ServerFailedError(f"answered {status}: {answer}")
    return taken_by(server.pid).anonymous_bytes


def judge(first: float, last: float, asked: int, *, cycles: int, budget_bytes: int) -> int:
    print(f"{len(SIZES_MIB)} models, a budget of {budget_bytes / 1e6:.1f} MB, {asked} requests, all answered")
    print(f"the worker took {first / 1e6:.1f} MB after cycle {FROM_CYCLE}, {last / 1e6:.1f} MB after cycle {cycles}")
    print(f"{last / first:.3f} times as much; at most {MARGIN} is right")
    return 0 if last <= first * MARGIN else 1


if __name__ == "__main__":
    sys.exit(main())
