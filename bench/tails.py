"""Latencies at given rates, counted from when each request was due: `make bench-tails`.

1. The rates are the same for all. A server that falls behind by seconds at one is not asked for more.
2. The bare ok is asked too, up to rates that others never see: what it shows is the floor of this machine and of the
   generator, whose own lateness is shown beside the latencies.
3. Several rounds, each in new processes; the medians of the rounds' percentiles are shown.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

from bench.__main__ import find_cores
from bench.contestants import BareOk, Contestant, Gateway, Handwritten, LitServe, MLServer, RayServe, Triton
from bench.environments import NotInstalledError
from bench.measuring import Cores, check_all, foreign_time, try_quietly
from bench.models import MODELS
from bench.open_loop import OpenLoop, Outcome, make_request, make_schedule
from bench.report import describe_machine, write_results
from bench.servers import Server, ServerFailedError, end_tidily, pinned, running
from bench.wires import WrongAnswerError
from bench.wrk import LoadFailedError
from examples.first_run import RefusedError

CHOICE: tuple[type[Contestant], ...] = (Gateway, Handwritten, Triton, MLServer, LitServe, RayServe, BareOk)
DEFAULT = (Gateway, Handwritten, Triton, BareOk)
RATES = (500, 1000, 2000, 4000, 8000, 16000, 32000)
WARM_UP_RATE = 300
CONNECTION_COUNT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """One schedule against one server."""

    contestant: str
    model: str
    rate: int
    round: int
    answered_per_second: float
    p50_us: float
    p90_us: float
    p99_us: float
    p999_us: float
    generator_late_p99_us: float
    foreign_share: float
    """How much of the two cores' time went to others meanwhile: 0 on a quiet machine."""
    failures: int
    wrong_count: int
    is_overloaded: bool


def main() -> int:
    arguments = parse_arguments()
    end_tidily()
    try:
        cores = find_cores()
    except LoadFailedError as error:
        print(error, file=sys.stderr)
        return 2
    (model,) = (model for model in MODELS if model.name == arguments.model)
    chosen = [one for one in CHOICE if (one.name in arguments.only if arguments.only else one in DEFAULT)]
    deadline = time.monotonic() + arguments.minutes * 60
    tails: list[Tail] = []
    skipped: list[dict[str, str]] = []
    for turn in range(arguments.rounds):
        for contestant in [one(model) for one in chosen[turn % len(chosen) :] + chosen[: turn % len(chosen)]]:
            if time.monotonic() > deadline:
                break
            print(f"round {turn + 1} of {arguments.rounds}: {contestant.name}", flush=True)
            try:
                tails += measure_turn(contestant, turn, arguments, cores)
            except (NotInstalledError, ServerFailedError, RefusedError, WrongAnswerError, OSError) as error:
                skipped.append({"model": model.name, "contestant": contestant.name, "why": str(error)})
                print(f"  skipped: {error}", flush=True)
    medians = [summarise(ones) for ones in group(tails, [one.name for one in chosen])]
    print(f"\n{describe_machine()}, one core for the server\n{model.title}, {CONNECTION_COUNT} connections\n")
    print(format_tails(medians))
    content = {
        "seconds": arguments.seconds,
        "connections": CONNECTION_COUNT,
        "skipped": skipped,
        "medians": [asdict(one) for one in medians],
        "measurements": [asdict(one) for one in tails],
    }
    print(f"\n{write_results(f'tails-{model.name}', content, is_kept=arguments.keep)}")
    return 1 if any(one.wrong_count for one in tails) else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.tails", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each server has its turn (3)")
    parser.add_argument("--seconds", type=int, default=8, help="how long each schedule is (8)")
    parser.add_argument("--rate", type=int, action="append", help="requests a second; may be repeated")
    parser.add_argument("--model", choices=[model.name for model in MODELS], default="tiny")
    parser.add_argument("--only", action="append", choices=[one.name for one in CHOICE], help="may be repeated")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin with no server after that long")
    parser.add_argument(
        "--keep", action="store_true", help="write bench/results, which docs/benchmarks.md is drawn from"
    )
    return parser.parse_args()


def measure_turn(contestant: Contestant, turn: int, arguments: argparse.Namespace, cores: Cores) -> Iterator[Tail]:
    """Start one server and send it one schedule after the other, until it falls behind."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        server = stack.enter_context(running(contestant.start(folder, cores.server)))
        contestant.prepare(server)
        server.wait_until_quiet()
        check_all(contestant, server)
        stack.enter_context(pinned(cores.load))
        loop = stack.enter_context(
            closing(OpenLoop(server.port, requests_of(contestant, server), connection_count=CONNECTION_COUNT))
        )
        loop.run(make_schedule(WARM_UP_RATE, 1, seed=-1))
        for rate in arguments.rate or RATES:
            moments = make_schedule(rate, arguments.seconds, seed=turn)
            once = partial(attempt, contestant, loop, moments, rate=rate, turn=turn, cores=cores)
            tail = keep_quietest(try_quietly(once, cores))
            yield tail
            if tail.is_overloaded:
                return
        check_all(contestant, server)


def attempt(
    contestant: Contestant, loop: OpenLoop, moments: Sequence[float], *, rate: int, turn: int, cores: Cores
) -> Tail:
    """Go through the schedule once."""
    with foreign_time(cores) as foreign:
        outcome = loop.run(moments)
    return describe(contestant, rate, turn, outcome, foreign.share)


def describe(contestant: Contestant, rate: int, turn: int, outcome: Outcome, foreign_share: float) -> Tail:
    """Compare the answers that were kept, and take the percentiles."""
    wrong = 0
    for index, answer in outcome.kept:
        try:
            contestant.check(_body(answer), contestant.model.questions[index])
        except WrongAnswerError as error:
            print(f"  WRONG {contestant.name}: {error}", flush=True)
            wrong += 1
    return Tail(
        contestant=contestant.name,
        model=contestant.model.name,
        rate=rate,
        round=turn,
        answered_per_second=round(outcome.answered_per_second, 1),
        **outcome.percentiles_us(),
        generator_late_p99_us=outcome.lateness_p99_us(),
        foreign_share=foreign_share,
        failures=outcome.failures,
        wrong_count=wrong,
        is_overloaded=outcome.is_overloaded,
    )


def keep_quietest(attempts: Sequence[Tail]) -> Tail:
    """Return the attempt that others disturbed least, charged with the failures and wrong answers of all."""
    best = min(attempts, key=lambda one: one.foreign_share)
    return replace(
        best,
        failures=sum(one.failures for one in attempts),
        wrong_count=sum(one.wrong_count for one in attempts),
    )


def group(tails: Sequence[Tail], names: Sequence[str]) -> Iterator[list[Tail]]:
    """Yield the rounds of each server at each rate, in the order of the names."""
    for name in names:
        for rate in sorted({one.rate for one in tails if one.contestant == name}):
            yield [one for one in tails if (one.contestant, one.rate) == (name, rate)]


def summarise(rounds: Sequence[Tail]) -> Tail:
    """Take the medians over the rounds; overloaded in one is overloaded."""
    first = rounds[0]
    figures = ("answered_per_second", "p50_us", "p90_us", "p99_us", "p999_us", "generator_late_p99_us")
    return Tail(
        contestant=first.contestant,
        model=first.model,
        rate=first.rate,
        round=len(rounds),
        **{name: median(getattr(one, name) for one in rounds) for name in figures},
        foreign_share=max(one.foreign_share for one in rounds),
        failures=sum(one.failures for one in rounds),
        wrong_count=sum(one.wrong_count for one in rounds),
        is_overloaded=any(one.is_overloaded for one in rounds),
    )


def format_tails(medians: Sequence[Tail]) -> str:
    """One line for each server at each rate, in milliseconds."""
    lines = [f"{'':28}{'due/s':>8}{'answered/s':>12}{'p50':>9}{'p90':>9}{'p99':>9}{'p99.9':>9}{'late p99':>10}"]
    for one in medians:
        figures = (one.p50_us, one.p90_us, one.p99_us, one.p999_us)
        cells = f"{'overloaded':>36}" if one.is_overloaded else "".join(f"{figure / 1000:9.2f}" for figure in figures)
        bad = one.failures + one.wrong_count
        tail = f"{one.generator_late_p99_us / 1000:10.3f}" + (f"  {bad} ERRORS" if bad else "")
        lines.append(f"{one.contestant:28}{one.rate:8,}{one.answered_per_second:12,.0f}{cells}{tail}")
    return "\n".join(lines)


def requests_of(contestant: Contestant, server: Server) -> list[bytes]:
    """Return a request for each of the model's questions."""
    questions = contestant.model.questions
    return [make_request(contestant.path, contestant.encode(one), server.port, contestant.headers) for one in questions]


def _body(answer: bytes) -> bytes:
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"chunked" not in head.lower():
        return body
    chunks = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        chunks.append(rest[:length])
        body = rest[length + 2 :] if length else b""
    return b"".join(chunks)


if __name__ == "__main__":
    sys.exit(main())
