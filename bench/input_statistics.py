"""Whether live answers notice that inputs are looked at: `make bench-inputs`.

1. Two gateways with one worker each on the same core, the load on another: one adds up what requests bring, one does
   not. Only one is asked at a time; the other's idle loops are part of both.
2. Both get the same schedule of requests (open loop: latency counts from when each was due) in turns, at several rates;
   and 64 connections that ask as fast as they are answered. Every kept answer is compared with the runtime in process.
3. For each rate, the median of the rounds' 99th percentiles with it on, beside that with it off: at most 1.2 times; and
   of the closed loop, at least 0.95 times as many answers.
4. What is on must have looked at requests, and tell numbers: else this run proves nothing.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from bench.__main__ import find_cores
from bench.contestants import Gateway
from bench.measuring import Cores, check_all, foreign_time, load, try_quietly
from bench.models import MODELS, BenchModel
from bench.open_loop import OpenLoop, make_schedule
from bench.report import describe_machine
from bench.servers import Server, ServerFailedError, end_tidily, pinned, running
from bench.shadow import CLOSED, CONNECTIONS, RATES, WARM_UP_RATE, Sample
from bench.tails import requests_of
from bench.wires import WrongAnswerError
from bench.wrk import LoadFailedError, find_wrk
from examples import first_run

ALLOWED = 1.2
LEAST_ANSWERS = 0.95


class Switched(Gateway):
    """The gateway with the statistics of inputs on, or off."""

    def __init__(self, model: BenchModel, switch: str) -> None:
        super().__init__(model)
        self.name = f"statistics {switch}"
        self.switch = switch

    def _start(self, settings: dict[str, str], log: Path, core: int | None) -> Server:
        return super()._start({**settings, "SARDONYX_INPUT_STATISTICS": self.switch}, log, core)


Asked = tuple[Switched, Server]


def main() -> int:
    arguments = parse_arguments()
    end_tidily()
    models = [model for model in MODELS if model.name in (arguments.model or ("tiny", "perceptron"))]
    is_met = True
    print(f"{describe_machine()}, one core for the servers\n")
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
    parser = argparse.ArgumentParser(prog="python -m bench.input_statistics", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=48, help="how often each gateway has its turn at each rate (48)")
    parser.add_argument("--seconds", type=int, default=1, help="how long each schedule is (1)")
    parser.add_argument("--rate", type=int, action="append", help="requests a second; may be repeated")
    parser.add_argument("--model", action="append", choices=[model.name for model in MODELS], help="may be repeated")
    return parser.parse_args()


def measure_model(
    model: BenchModel, arguments: argparse.Namespace, cores: Cores, wrk: str
) -> tuple[list[Sample], dict[str, Any]]:
    """Return what was measured, and what the gateway that looks at inputs tells."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-inputs-")))
        asked: list[Asked] = []
        for contestant in (Switched(model, "off"), Switched(model, "on")):
            server = stack.enter_context(running(contestant.start(folder, cores.server)))
            contestant.prepare(server)
            check_all(contestant, server)
            asked.append((contestant, server))
        for _, server in asked:
            server.wait_until_quiet()
        stack.enter_context(pinned(cores.load))
        samples = list(measure(asked, arguments, cores, wrk))
        for contestant, server in asked:
            check_all(contestant, server)
        _, found = first_run.ask(asked[-1][1].port, "GET", f"/registry/models/{model.name}/versions/1/inputs")
    return samples, found


def measure(asked: Sequence[Asked], arguments: argparse.Namespace, cores: Cores, wrk: str) -> Iterator[Sample]:
    """Yield the samples of all rounds, each gateway first as often as the other."""
    with ExitStack() as stack:
        loops = [
            stack.enter_context(
                closing(OpenLoop(server.port, requests_of(contestant, server), connection_count=CONNECTIONS))
            )
            for contestant, server in asked
        ]
        for loop in loops:
            loop.run(make_schedule(WARM_UP_RATE, 1, seed=-1))
        for turn in range(arguments.rounds):
            order = range(len(asked)) if turn % 2 == 0 else range(len(asked) - 1, -1, -1)
            for rate in arguments.rate or RATES:
                moments = make_schedule(rate, arguments.seconds, seed=turn)
                for place in order:
                    once = partial(open_sample, asked[place][0], loops[place], moments, rate, cores)
                    yield min(try_quietly(once, cores), key=lambda sample: sample.foreign_share)
            for place in order:
                once = partial(closed_sample, asked[place], wrk, arguments.seconds, cores)
                yield min(try_quietly(once, cores), key=lambda sample: sample.foreign_share)


def open_sample(contestant: Switched, loop: OpenLoop, moments: Sequence[float], rate: int, cores: Cores) -> Sample:
    with foreign_time(cores) as foreign:
        outcome = loop.run(moments)
    figures = outcome.percentiles_us()
    return Sample(
        alias=contestant.switch,
        rate=rate,
        p50_us=figures["p50_us"],
        p99_us=figures["p99_us"],
        answered_per_second=outcome.answered_per_second,
        foreign_share=foreign.share,
        failures=outcome.failures,
    )


def closed_sample(asked: Asked, wrk: str, seconds: int, cores: Cores) -> Sample:
    contestant, server = asked
    with foreign_time(cores) as foreign:
        seen = load(contestant, server, wrk, cores, connections=CONNECTIONS, seconds=seconds)
    return Sample(
        alias=contestant.switch,
        rate=CLOSED,
        p50_us=seen.p50_us,
        p99_us=seen.p99_us,
        answered_per_second=seen.requests_per_second,
        foreign_share=foreign.share,
        failures=seen.error_count,
    )


def report(model: BenchModel, samples: Sequence[Sample], found: dict[str, Any]) -> bool:
    """Print the table of one model and return whether all is as it should be."""
    print(f"{model.title}\n{'':>22} {'p50 off':>8} {'on':>7} {'p99 off':>9} {'on':>9} {'ratio':>9} {'answers':>8}")
    is_met = not any(sample.failures for sample in samples)
    for rate in sorted({sample.rate for sample in samples}, key=lambda rate: rate or max(RATES) * 10):
        off, on = (
            [sample for sample in samples if (sample.alias, sample.rate) == (switch, rate)] for switch in ("off", "on")
        )
        p50 = [median(sample.p50_us for sample in some) for some in (off, on)]
        p99 = [median(sample.p99_us for sample in some) for some in (off, on)]
        answers = [median(sample.answered_per_second for sample in some) for some in (off, on)]
        ratio, share = p99[1] / p99[0], answers[1] / answers[0]
        is_good = ratio <= ALLOWED and share >= LEAST_ANSWERS
        is_met = is_met and is_good
        apart = [two.p99_us / one.p99_us for one, two in zip(off, on, strict=True)]
        words = f"{rate} a second" if rate else f"{CONNECTIONS} connections"
        verdict = f" ({min(apart):.2f} to {max(apart):.2f})" + ("" if is_good else "  not as it should be")
        print(
            f"{words:>22} {p50[0]:>5.0f} us {p50[1]:>4.0f} us {p99[0]:>6.0f} us {p99[1]:>6.0f} us {ratio:>9.2f} "
            f"{share:>8.3f}{verdict}"
        )
    (looked, *_) = found["inputs"]
    print(f"looked at {found['looked_at']}, skipped {found['skipped']}, summed up {looked['requests']}")
    print(f"failures of live requests: {sum(sample.failures for sample in samples)}\n")
    return is_met and bool(looked["requests"])


if __name__ == "__main__":
    sys.exit(main())
