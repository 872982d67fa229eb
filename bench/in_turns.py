"""Two that are asked the same in turns, one with something that the other has not: who notices it?

1. Both get the same schedule of requests (open loop: latency counts from when each was due) in turns, at several rates;
   and 64 connections that ask as fast as they are answered. Every kept answer is compared with the runtime in process.
2. For each rate, the median of the rounds' 99th percentiles with it stands beside that without.
3. On a shared machine one round's ratio wanders (the lowest and the highest are shown) with what others do for some
   seconds at a time, so there are many rounds, each turn is short, and each is first as often as the other.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from bench.__main__ import find_cores
from bench.contestants import Contestant
from bench.measuring import Cores, check_all, foreign_time, load, try_quietly
from bench.models import MODELS, BenchModel
from bench.open_loop import OpenLoop, make_schedule
from bench.report import describe_machine
from bench.servers import Server, ServerFailedError, end_tidily, pinned
from bench.tails import requests_of
from bench.wires import WrongAnswerError
from bench.wrk import LoadFailedError, find_wrk
from examples import first_run

RATES = (250, 1000, 4000)
CONNECTIONS = 64
WARM_UP_RATE = 300
CLOSED = 0
"""The rate of a closed loop: as fast as it is answered."""

Asked = tuple[Contestant, Server]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One schedule, or one closed loop, of one of the two."""

    place: int
    """0 for the one without, 1 for the one with it."""
    rate: int
    p50_us: float
    p99_us: float
    answered_per_second: float
    foreign_share: float
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One rate: medians of the rounds, without and with it."""

    rate: int
    p50_us: tuple[float, float]
    p99_us: tuple[float, float]
    answered_per_second: tuple[float, float]
    apart: tuple[float, float]
    """The lowest and the highest ratio of two 99th percentiles of one round."""

    @property
    def ratio(self) -> float:
        """How many times as long the 99th percentile is with it."""
        return self.p99_us[1] / self.p99_us[0]

    @property
    def share(self) -> float:
        """How many times as much is answered with it."""
        return self.answered_per_second[1] / self.answered_per_second[0]


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a measurement needs besides those who are asked."""

    arguments: argparse.Namespace
    cores: Cores
    wrk: str


def run(
    program: str,
    words: str,
    measure_model: Callable[[BenchModel, Conditions], tuple[list[Sample], dict[str, Any]]],
    report: Callable[[BenchModel, Sequence[Sample], dict[str, Any]], bool],
) -> int:
    """Measure the models that the command line names, and return how the process ends.

    Args:
        program: what it is called.
        words: what it is for.
        measure_model: returns the samples, and what the gateway tells of what it did meanwhile.
        report: prints these, and returns whether all is as it should be.
    """
    arguments = _parse_arguments(program, words)
    end_tidily()
    models = [model for model in MODELS if model.name in (arguments.model or ("tiny", "perceptron"))]
    is_met = True
    print(f"{describe_machine()}, one core for the servers\n")
    try:
        conditions = Conditions(arguments, find_cores(), find_wrk())
        for model in models:
            is_met = report(model, *measure_model(model, conditions)) and is_met
    except (LoadFailedError, ServerFailedError, first_run.RefusedError, WrongAnswerError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0 if is_met else 1


def _parse_arguments(program: str, words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=program, description=words)
    parser.add_argument("--rounds", type=int, default=48, help="how often each has its turn at each rate (48)")
    parser.add_argument("--seconds", type=int, default=1, help="how long each schedule is (1)")
    parser.add_argument("--rate", type=int, action="append", help="requests a second; may be repeated")
    parser.add_argument("--model", action="append", choices=[model.name for model in MODELS], help="may be repeated")
    return parser.parse_args()


def measure(pair: tuple[Asked, Asked], conditions: Conditions) -> list[Sample]:
    """Return the samples of all rounds, with answers checked before, meanwhile and after."""
    for contestant, server in pair:
        check_all(contestant, server)
    for _, server in pair:
        server.wait_until_quiet()
    with pinned(conditions.cores.load):
        samples = list(_measure_rounds(pair, conditions))
        for contestant, server in pair:
            check_all(contestant, server)
    return samples


def _measure_rounds(pair: tuple[Asked, Asked], conditions: Conditions) -> Iterator[Sample]:
    with ExitStack() as stack:
        loops = [
            stack.enter_context(
                closing(OpenLoop(server.port, requests_of(contestant, server), connection_count=CONNECTIONS))
            )
            for contestant, server in pair
        ]
        for loop in loops:
            loop.run(make_schedule(WARM_UP_RATE, 1, seed=-1))
        for number in range(conditions.arguments.rounds):
            order = (0, 1) if number % 2 == 0 else (1, 0)
            for rate in conditions.arguments.rate or RATES:
                moments = make_schedule(rate, conditions.arguments.seconds, seed=number)
                for place in order:
                    yield _try(
                        partial(_open_sample, place, loops[place], moments, rate, conditions.cores), conditions.cores
                    )
            for place in order:
                yield _try(partial(_closed_sample, place, pair[place], conditions), conditions.cores)


def _try(once: Callable[[], Sample], cores: Cores) -> Sample:
    return min(try_quietly(once, cores), key=lambda sample: sample.foreign_share)


def _open_sample(place: int, loop: OpenLoop, moments: Sequence[float], rate: int, cores: Cores) -> Sample:
    with foreign_time(cores) as foreign:
        outcome = loop.run(moments)
    figures = outcome.percentiles_us()
    return Sample(
        place=place,
        rate=rate,
        p50_us=figures["p50_us"],
        p99_us=figures["p99_us"],
        answered_per_second=outcome.answered_per_second,
        foreign_share=foreign.share,
        failures=outcome.failures,
    )


def _closed_sample(place: int, asked: Asked, conditions: Conditions) -> Sample:
    contestant, server = asked
    with foreign_time(conditions.cores) as foreign:
        seen = load(
            contestant,
            server,
            conditions.wrk,
            conditions.cores,
            connections=CONNECTIONS,
            seconds=conditions.arguments.seconds,
        )
    return Sample(
        place=place,
        rate=CLOSED,
        p50_us=seen.p50_us,
        p99_us=seen.p99_us,
        answered_per_second=seen.requests_per_second,
        foreign_share=foreign.share,
        failures=seen.error_count,
    )


def compare(samples: Sequence[Sample]) -> list[Compared]:
    """Return what the samples come to at each rate; the closed loop is last."""
    rates = sorted({sample.rate for sample in samples}, key=lambda rate: (rate == CLOSED, rate))
    return [_compare(rate, [sample for sample in samples if sample.rate == rate]) for rate in rates]


def _compare(rate: int, samples: Sequence[Sample]) -> Compared:
    without, with_it = ([sample for sample in samples if sample.place == place] for place in (0, 1))

    def medians(figure: Callable[[Sample], float]) -> tuple[float, float]:
        return median(map(figure, without)), median(map(figure, with_it))

    apart = [two.p99_us / one.p99_us for one, two in zip(without, with_it, strict=True)]
    return Compared(
        rate=rate,
        p50_us=medians(lambda sample: sample.p50_us),
        p99_us=medians(lambda sample: sample.p99_us),
        answered_per_second=medians(lambda sample: sample.answered_per_second),
        apart=(min(apart), max(apart)),
    )


def print_rates(
    model: BenchModel,
    samples: Sequence[Sample],
    names: tuple[str, str],
    is_good: Callable[[Compared], bool],
) -> bool:
    """Print the table of a model, and return whether each rate is good and no live request has failed.

    Args:
        model: which.
        samples: of all rounds.
        names: of the two, without and with it.
        is_good: judges a rate.
    """
    without, with_it = names
    print(f"{model.title}\n{'':>22} {'p50 ' + without:>12} {with_it:>9} {'p99 ' + without:>12} {with_it:>9}", end="")
    print(f" {'ratio':>6} {'answers':>8}")
    is_met = True
    for rate in compare(samples):
        words = f"{rate.rate} a second" if rate.rate else f"{CONNECTIONS} connections"
        verdict = f" ({rate.apart[0]:.2f} to {rate.apart[1]:.2f})"
        if not is_good(rate):
            is_met, verdict = False, f"{verdict}  not as it should be"
        p50, p99 = (f"{one:>9.0f} us {other:>6.0f} us" for one, other in (rate.p50_us, rate.p99_us))
        print(f"{words:>22} {p50} {p99} {rate.ratio:>6.2f} {rate.share:>8.3f}{verdict}")
    failures = sum(sample.failures for sample in samples)
    print(f"failures of live requests: {failures}")
    return is_met and not failures
