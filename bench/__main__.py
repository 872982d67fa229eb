"""This gateway beside the app people write by hand and a bare ASGI answer: `make bench`.

1. The servers have one core, the load generator another. All servers of a comparison are up at once and rest but for
   the one that is being asked, so that they take turns within seconds: what the machine does meanwhile hits all alike.
   Who begins changes with each turn, and so does who follows whom: a core is slower after it has been busy.
2. Several rounds, each in new processes, of several turns. Medians over the turns are shown, ratios of the same turn.
3. The same numbers go to all. Answers are compared with the runtime's, to the last bit, before, during and after each
   server's turn; whatever is no 200 is counted.
4. CPU per request is the time of the server's whole process tree, by the kernel's count.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TypeVar

from bench.contestants import BareOk, Contestant, Gateway, GatewayWithTokens, Handwritten, HandwrittenQuiet
from bench.measuring import Cores, Measurement, check_all, measure, warm_up
from bench.models import PERCEPTRON, TINY
from bench.ratios import Comparison, find_ratio, format_ratio, ratios_as_json
from bench.report import describe_machine, format_table, summarise, tables_as_json, write_results
from bench.servers import ServerFailedError, end_tidily, running
from bench.wires import WrongAnswerError
from bench.wrk import LoadFailedError, find_wrk
from examples.first_run import RefusedError

EXACT, OFF = "sardonyx, batching exact", "sardonyx, batching off"


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Suite:
    """Who is up together, and at how many connections each is asked."""

    name: str
    contestants: Sequence[Contestant]
    connections: Sequence[int]
    baseline: str


SUITES = (
    Suite(
        "request",
        (Gateway(TINY), GatewayWithTokens(TINY), Handwritten(TINY), HandwrittenQuiet(TINY), BareOk(TINY)),
        (1, 16, 32, 64),
        Handwritten.name,
    ),
    Suite("batching", (Gateway(PERCEPTRON, batching="exact"), Gateway(PERCEPTRON, batching="off")), (1, 16, 64), OFF),
)


def _comparisons() -> Iterator[Comparison]:
    ours, hand, ok, tokens = Gateway.name, Handwritten.name, BareOk.name, GatewayWithTokens.name
    for connections, least in ((1, 3.5), (16, 10.0), (64, 10.0)):
        what = f"requests a second, beside the hand-written app, {connections} connections"
        yield Comparison(what=what, model=TINY.name, one=ours, other=hand, connections=connections, at_least=least)
    what = "requests a second, beside the bare ok, 32 connections"
    yield Comparison(what=what, model=TINY.name, one=ours, other=ok, connections=32, at_least=1.5)
    for connections in (1, 16, 64):
        what = f"CPU a request, tokens on beside off, {connections} connections"
        yield Comparison(
            what=what, model=TINY.name, one=tokens, other=ours, connections=connections, of="cpu", at_most=1.1
        )
        what = f"requests a second, tokens on beside off, {connections} connections"
        yield Comparison(what=what, model=TINY.name, one=tokens, other=ours, connections=connections, at_least=0.9)
    gains: tuple[tuple[int, float | None], ...] = ((1, 0.95), (16, None), (64, 2.5))
    for connections, gain in gains:
        what = f"requests a second, batching exact beside off, {connections} connections"
        yield Comparison(what=what, model=PERCEPTRON.name, one=EXACT, other=OFF, connections=connections, at_least=gain)
        what = f"99th percentile, batching exact beside off, {connections} connections"
        yield Comparison(
            what=what, model=PERCEPTRON.name, one=EXACT, other=OFF, connections=connections, of="p99", at_most=1.1
        )


COMPARISONS = tuple(_comparisons())


def main() -> int:
    arguments = parse_arguments()
    end_tidily()
    try:
        wrk, cores = find_wrk(), find_cores()
        measurements = [
            one
            for suite in SUITES
            if not arguments.suite or suite.name in arguments.suite
            for one in measure_suite(suite, arguments, wrk, cores)
        ]
    except (ServerFailedError, RefusedError, WrongAnswerError, LoadFailedError) as error:
        print(error, file=sys.stderr)
        return 1
    return report(measurements, arguments)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often the servers are started (5)")
    parser.add_argument(
        "--turns", type=int, default=2, help="how often each is measured in a round, at each number of connections (2)"
    )
    parser.add_argument("--seconds", type=int, default=2, help="how long each measurement takes (2)")
    parser.add_argument("--suite", action="append", choices=[suite.name for suite in SUITES], help="may be repeated")
    parser.add_argument("--only", action="append", metavar="NAME", help="one server; may be repeated")
    parser.add_argument(
        "--keep", action="store_true", help="write bench/results, which docs/benchmarks.md is drawn from"
    )
    arguments = parser.parse_args()
    names = {one.name for suite in SUITES for one in suite.contestants}
    if arguments.only and not names.issuperset(arguments.only):
        parser.error(f"--only takes: {'; '.join(sorted(names))}")
    return arguments


def find_cores() -> Cores:
    """Return the first two cores that this process may use."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise LoadFailedError("two cores are needed: one for the server, one for the load")
    return Cores(server=cores[0], load=cores[1])


def measure_suite(suite: Suite, arguments: argparse.Namespace, wrk: str, cores: Cores) -> Iterator[Measurement]:
    contestants = [one for one in suite.contestants if not arguments.only or one.name in arguments.only]
    for round_ in range(arguments.rounds if contestants else 0):
        print(f"{suite.name}, round {round_ + 1} of {arguments.rounds}", flush=True)
        with tempfile.TemporaryDirectory(prefix="sardonyx-bench-") as folder, ExitStack() as stack:
            servers = []
            for contestant in contestants:
                server = stack.enter_context(running(contestant.start(Path(folder), cores.server)))
                contestant.prepare(server)
                warm_up(contestant, server, wrk, cores)
                servers.append((contestant, server))
            for turn, connections in product(range(arguments.turns), suite.connections):
                number = round_ * arguments.turns + turn
                for contestant, server in rotated(servers, number):
                    yield measure(
                        contestant,
                        server,
                        number,
                        connections=connections,
                        seconds=arguments.seconds,
                        wrk=wrk,
                        cores=cores,
                    )
            for contestant, server in servers:
                check_all(contestant, server)


def rotated(servers: Sequence[T], number: int) -> list[T]:
    """Return the servers in the order of a turn: every other one the other way round."""
    begin = number // 2 % len(servers)
    order = [*servers[begin:], *servers[:begin]]
    return order[::-1] if number % 2 else order


def report(measurements: Sequence[Measurement], arguments: argparse.Namespace) -> int:
    """Print the tables and the ratios, write the results, and return the exit code: 1 if an answer was wrong."""
    print(f"\n{describe_machine()}, one core for the servers")
    tables = {}
    for suite in SUITES:
        model = suite.contestants[0].model
        table = summarise(one for one in measurements if one.model == model.name)
        if table:
            tables[model.name] = table = {one.name: table[one.name] for one in suite.contestants if one.name in table}
            print(f"\n{model.title}; x: times the requests a second of: {suite.baseline}\n")
            print(format_table(table, suite.baseline))
    ratios = [ratio for ratio in (find_ratio(one, measurements) for one in COMPARISONS) if ratio is not None]
    print("\nratios of the same turn: the median (lowest to highest)\n")
    print("\n".join(format_ratio(ratio) for ratio in ratios))
    content = {
        "seconds": arguments.seconds,
        "rounds": arguments.rounds,
        "turns": arguments.turns,
        "ratios": ratios_as_json(ratios),
        "medians": tables_as_json(tables),
        "measurements": [asdict(one) for one in measurements],
    }
    print(f"\n{write_results('gateway', content, is_kept=arguments.keep)}")
    return 1 if any(one.load.error_count or one.wrong_count for one in measurements) else 0


if __name__ == "__main__":
    sys.exit(main())
