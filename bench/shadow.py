"""Whether live answers notice a shadow: `make bench-shadow`.

1. One gateway with one worker on one core, the load on another. Two aliases of one version: `plain` has no shadow,
   `shaded` sends copies of all its requests to a version with one changed weight.
2. Both get the same schedule of requests (open loop: latency counts from when each was due) in turns, at several rates;
   and 64 connections that ask as fast as they are answered. Every kept answer is compared with the runtime in process.
3. For each rate, the median of the rounds' 99th percentiles with the shadow, beside that without: at most 1.2 times.
   On a shared machine one round's ratio wanders (the lowest and the highest are shown) with what others do for some
   seconds at a time, so there are many rounds, and each turn is short.
4. The shadow must have compared something, and have found that the answers differ: else this run proves nothing.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import onnx
from onnx import numpy_helper

from bench.__main__ import find_cores
from bench.contestants import Gateway
from bench.measuring import Cores, check_all, foreign_time, load, try_quietly
from bench.models import MODELS, BenchModel
from bench.open_loop import OpenLoop, make_schedule
from bench.report import describe_machine
from bench.servers import Server, ServerFailedError, end_tidily, pinned, running
from bench.tails import requests_of
from bench.wires import WrongAnswerError
from bench.wrk import LoadFailedError, find_wrk
from examples import first_run

ALLOWED = 1.2
RATES = (250, 1000, 4000)
CONNECTIONS = 64
WARM_UP_RATE = 300
CLOSED = 0
"""The rate of a closed loop: as fast as it is answered."""


class Alias(Gateway):
    """The gateway, asked through one of the two aliases."""

    def __init__(self, model: BenchModel, alias: str) -> None:
        super().__init__(model)
        self.alias = alias
        self.path = f"/models/{model.name}@{alias}/predict"


@dataclass(frozen=True, slots=True)
class Sample:
    """One schedule, or one closed loop, through one alias."""

    alias: str
    rate: int
    p50_us: float
    p99_us: float
    answered_per_second: float
    foreign_share: float
    failures: int


def main() -> int:
    arguments = parse_arguments()
    end_tidily()
    models = [model for model in MODELS if model.name in (arguments.model or ("tiny", "perceptron"))]
    is_met = True
    print(f"{describe_machine()}, one core for the server\n")
    try:
        cores, wrk = find_cores(), find_wrk()
        for model in models:
            samples, found = measure_model(model, arguments, cores, wrk)
            is_met = report(model, samples, found) and is_met
    except (LoadFailedError, ServerFailedError, first_run.RefusedError, WrongAnswerError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0 if is_met else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.shadow", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=48, help="how often each alias has its turn at each rate (48)")
    parser.add_argument("--seconds", type=int, default=1, help="how long each schedule is (1)")
    parser.add_argument("--rate", type=int, action="append", help="requests a second; may be repeated")
    parser.add_argument("--model", action="append", choices=[model.name for model in MODELS], help="may be repeated")
    return parser.parse_args()


def measure_model(
    model: BenchModel, arguments: argparse.Namespace, cores: Cores, wrk: str
) -> tuple[list[Sample], dict[str, Any]]:
    """Return what was measured, and what the shadow has found."""
    plain, shaded = Alias(model, "plain"), Alias(model, "shaded")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-shadow-")))
        server = stack.enter_context(running(plain.start(folder, cores.server)))
        register(server, model, folder)
        for alias in (plain, shaded):
            check_all(alias, server)
        server.wait_until_quiet()
        stack.enter_context(pinned(cores.load))
        samples = list(measure_aliases(server, (plain, shaded), arguments, cores, wrk))
        for alias in (plain, shaded):
            check_all(alias, server)
        _, found = first_run.ask(server.port, "GET", f"/registry/models/{model.name}/aliases/shaded/shadow")
    return samples, found


def register(server: Server, model: BenchModel, folder: Path) -> None:
    """Register the model and one with a changed weight, and point the aliases at the first."""
    other = folder / "changed.onnx"
    other.write_bytes(with_a_changed_weight(onnx.load(str(model.path))).SerializeToString())
    first = first_run.register(server.port, model.name, model.path, "for the benchmark")
    second = first_run.register(server.port, model.name, other, "one weight is another one")
    for alias, more in (("plain", ""), ("shaded", f', "shadow": {{"version": {second}, "percent": 100}}')):
        route = f"/registry/models/{model.name}/aliases/{alias}"
        status, answer = first_run.ask(server.port, "PUT", route, f'{{"version": {first}{more}}}'.encode())
        if status != 200:
            raise first_run.RefusedError(f"{alias} was refused: {answer}")


def with_a_changed_weight(model: onnx.ModelProto) -> onnx.ModelProto:
    """Change one number of the model, in place: of its first initializer, or of its first tree's leaves."""
    for tensor in model.graph.initializer:
        weights = numpy_helper.to_array(tensor).copy()
        if weights.dtype.kind == "f":
            weights.flat[0] += 0.25
            tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
            return model
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "class_weights":
                attribute.floats[0] += 0.25
                return model
    raise first_run.RefusedError("the model has no weight to change")


def measure_aliases(
    server: Server, aliases: Sequence[Alias], arguments: argparse.Namespace, cores: Cores, wrk: str
) -> Iterator[Sample]:
    """Yield the samples of all rounds, each alias first as often as the other."""
    with ExitStack() as stack:
        loops = [
            stack.enter_context(
                closing(OpenLoop(server.port, requests_of(alias, server), connection_count=CONNECTIONS))
            )
            for alias in aliases
        ]
        for loop in loops:
            loop.run(make_schedule(WARM_UP_RATE, 1, seed=-1))
        for turn in range(arguments.rounds):
            order = range(len(aliases)) if turn % 2 == 0 else range(len(aliases) - 1, -1, -1)
            for rate in arguments.rate or RATES:
                moments = make_schedule(rate, arguments.seconds, seed=turn)
                for place in order:
                    once = partial(open_sample, aliases[place], loops[place], moments, rate, cores)
                    yield min(try_quietly(once, cores), key=lambda sample: sample.foreign_share)
            for place in order:
                once = partial(closed_sample, aliases[place], server, wrk, arguments.seconds, cores)
                yield min(try_quietly(once, cores), key=lambda sample: sample.foreign_share)


def open_sample(alias: Alias, loop: OpenLoop, moments: Sequence[float], rate: int, cores: Cores) -> Sample:
    with foreign_time(cores) as foreign:
        outcome = loop.run(moments)
    figures = outcome.percentiles_us()
    return Sample(
        alias=alias.alias,
        rate=rate,
        p50_us=figures["p50_us"],
        p99_us=figures["p99_us"],
        answered_per_second=outcome.answered_per_second,
        foreign_share=foreign.share,
        failures=outcome.failures,
    )


def closed_sample(alias: Alias, server: Server, wrk: str, seconds: int, cores: Cores) -> Sample:
    with foreign_time(cores) as foreign:
        seen = load(alias, server, wrk, cores, connections=CONNECTIONS, seconds=seconds)
    return Sample(
        alias=alias.alias,
        rate=CLOSED,
        p50_us=seen.p50_us,
        p99_us=seen.p99_us,
        answered_per_second=seen.requests_per_second,
        foreign_share=foreign.share,
        failures=seen.error_count,
    )


def report(model: BenchModel, samples: Sequence[Sample], found: dict[str, Any]) -> bool:
    """Print the table of one model and return whether all is as it should be."""
    print(f"{model.title}\n{'':>22} {'p50':>14} {'p99 without':>12} {'with shadow':>12} {'ratio':>6}")
    is_met = not any(sample.failures for sample in samples)
    for rate in sorted({sample.rate for sample in samples}, key=lambda rate: rate or max(RATES) * 10):
        of = {
            alias: [sample for sample in samples if (sample.alias, sample.rate) == (alias, rate)]
            for alias in ("plain", "shaded")
        }
        p50 = [median(sample.p50_us for sample in of[alias]) for alias in of]
        p99 = [median(sample.p99_us for sample in of[alias]) for alias in of]
        ratio = p99[1] / p99[0]
        apart = [two.p99_us / one.p99_us for one, two in zip(of["plain"], of["shaded"], strict=True)]
        is_met = is_met and ratio <= ALLOWED
        words = f"{rate} a second" if rate else f"{CONNECTIONS} connections"
        verdict = f" ({min(apart):.2f} to {max(apart):.2f})" + ("" if ratio <= ALLOWED else f"  more than {ALLOWED}")
        print(f"{words:>22} {p50[0]:>6.0f} {p50[1]:>7.0f} {p99[0]:>9.0f} us {p99[1]:>9.0f} us {ratio:>6.2f}{verdict}")
    what = found["report"]
    outputs = {output["name"]: output for output in what["outputs"]}
    differing = [name for name, output in outputs.items() if output["same"] < output["compared"]]
    print(f"compared {what['compared']}, skipped {what['skipped']}, failed {sum(what['failures'].values())}")
    for name in differing:
        output = outputs[name]
        print(
            f"  {name} differs: {output['max_difference']:.3g} at most, {output['mean_difference']:.3g} in the mean, "
            f"{output['changed']} of {output['rows']} rows decide otherwise"
        )
    print(f"failures of live requests: {sum(sample.failures for sample in samples)}\n")
    return is_met and bool(what["compared"]) and bool(differing) and not what["failures"]


if __name__ == "__main__":
    sys.exit(main())
