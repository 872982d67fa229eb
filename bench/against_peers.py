"""This gateway, the app people write by hand, and the servers that pip can install: `make bench-peers`.

1. Each peer lives in an environment of its own (`bench/peers/<peer>/requirements.txt`), made when it is first needed,
   and is started by its own `serve.py` at the best setting known to us, with batching where it has it. One worker, one
   thread for a run, on loopback only: a peer that listens elsewhere is not measured.
2. One server runs at a time, on one core; the load generator has another. Within a round they follow each other, model
   by model; nobody always follows the same neighbour.
3. Answers are compared with the runtime's before, during and after each turn. Whatever cannot be installed, started or
   does not answer rightly is left out, and the table says why.
4. Each turn is written down when it is over. A run that was ended goes on where it was: `--minutes` ends it early.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from bench.__main__ import find_cores
from bench.contestants import PEERS, Contestant, Gateway, Handwritten, Triton
from bench.environments import NotInstalledError, read_pins
from bench.journal import Journal, OtherRunError, Turn
from bench.measuring import Cores, Measurement, check_all, measure, warm_up
from bench.models import CONVNET, MODELS, PERCEPTRON, TINY, by_name
from bench.ratios import Comparison, Ratio, find_ratio, format_ratio, ratios_as_json
from bench.report import commit, describe_machine, format_table, summarise, tables_as_json, write_results
from bench.servers import CACHE, ServerFailedError, end_tidily, running
from bench.wires import WrongAnswerError
from bench.wrk import LoadFailedError, find_wrk
from examples.first_run import RefusedError

CONNECTIONS = (1, 16, 64)
CONTESTANTS: tuple[type[Contestant], ...] = (Gateway, Handwritten, *PEERS)
NAMES = [one.name for one in CONTESTANTS]
UNFINISHED = CACHE / "unfinished" / "peers.jsonl"

AIMS = {
    (TINY.name, Triton.name, 16): 3.0,
    (TINY.name, Triton.name, 64): 3.0,
    (PERCEPTRON.name, Triton.name, 16): 2.0,
    (PERCEPTRON.name, Triton.name, 64): 3.0,
}
"""How many times the requests a second the gateway should answer; 1 where nothing is said, but for the convnet, whose
work is nearly all the runtime's."""

Skipped = dict[tuple[str, str], str]
"""Why, by model and contestant."""


class ListensElsewhereError(Exception):
    """A server can be reached from other machines."""


def main() -> int:
    arguments = parse_arguments()
    end_tidily()
    if arguments.fresh:
        UNFINISHED.unlink(missing_ok=True)
    try:
        wrk, cores = find_wrk(), find_cores()
        journal = Journal(UNFINISHED, {"seconds": arguments.seconds, "connections": CONNECTIONS})
    except (LoadFailedError, OtherRunError) as error:
        print(error, file=sys.stderr)
        return 2
    skipped: Skipped = {}
    is_complete = run_turns(journal, skipped, arguments, wrk=wrk, cores=cores)
    report(journal, skipped, arguments)
    if not is_complete:
        print("not all turns are over: run it again to go on")
    return 1 if any(one.wrong_count for one in journal.all_measurements()) else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.against_peers", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each server has its turn with each model (3)")
    parser.add_argument("--seconds", type=int, default=4, help="how long each measurement takes (4)")
    parser.add_argument("--only", action="append", choices=NAMES, help="one server; may be repeated")
    parser.add_argument("--model", action="append", choices=[model.name for model in MODELS], help="may be repeated")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no turn after that long")
    parser.add_argument("--fresh", action="store_true", help="forget what has been measured so far")
    parser.add_argument(
        "--keep", action="store_true", help="write bench/results, which docs/benchmarks.md is drawn from"
    )
    return parser.parse_args()


def run_turns(journal: Journal, skipped: Skipped, arguments: argparse.Namespace, *, wrk: str, cores: Cores) -> bool:
    """Measure what is not in the journal yet; True if nothing is left but what cannot be measured."""
    deadline = time.monotonic() + arguments.minutes * 60
    for turn, contestant in plan(arguments):
        where = (turn.model, turn.contestant)
        if turn in journal.turns or where in skipped:
            continue
        if time.monotonic() > deadline:
            return False
        print(f"round {turn.round + 1} of {arguments.rounds}: {turn.model}, {turn.contestant}", flush=True)
        try:
            measurements = list(measure_turn(contestant, turn.round, arguments.seconds, wrk=wrk, cores=cores))
        except (
            NotInstalledError,
            ServerFailedError,
            RefusedError,
            WrongAnswerError,
            ListensElsewhereError,
            LoadFailedError,
            OSError,
        ) as error:
            skipped[where] = f"{type(error).__name__.removesuffix('Error')}: {error}"
            print(f"  skipped: {skipped[where]}", flush=True)
        else:
            journal.add(turn, commit(), measurements)
    return True


def plan(arguments: argparse.Namespace) -> Iterator[tuple[Turn, Contestant]]:
    """Yield every turn: round by round, model by model, each time beginning with another server."""
    chosen = [one for one in CONTESTANTS if not arguments.only or one.name in arguments.only]
    for turn in range(arguments.rounds):
        first = turn * len(chosen) // arguments.rounds
        for model in by_name(arguments.model):
            for one in chosen[first:] + chosen[:first]:
                yield Turn(turn, model.name, one.name), one(model)


def measure_turn(contestant: Contestant, turn: int, seconds: int, *, wrk: str, cores: Cores) -> Iterator[Measurement]:
    """Start one server, measure it at each number of connections, and end it."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        server = stack.enter_context(running(contestant.start(Path(folder), cores.server)))
        addresses = server.open_addresses()
        if addresses:
            raise ListensElsewhereError(f"it listens on {', '.join(map(str, addresses))}")
        contestant.prepare(server)
        warm_up(contestant, server, wrk, cores)
        for connections in CONNECTIONS:
            yield measure(contestant, server, turn, connections=connections, seconds=seconds, wrk=wrk, cores=cores)
        check_all(contestant, server)


def find_ratios(measurements: Sequence[Measurement]) -> list[Ratio]:
    """Compare the gateway with everybody else, by requests a second."""
    wanted = (
        Comparison(
            what=f"{model.name}, {connections} connections, beside {other.name}",
            model=model.name,
            one=Gateway.name,
            other=other.name,
            connections=connections,
            at_least=AIMS.get((model.name, other.name, connections), None if model is CONVNET else 1.0),
        )
        for model in MODELS
        for other in CONTESTANTS[1:]
        for connections in CONNECTIONS
    )
    return [ratio for ratio in (find_ratio(one, measurements) for one in wanted) if ratio is not None]


def report(journal: Journal, skipped: Skipped, arguments: argparse.Namespace) -> None:
    """Print a table for each model and write all into one file."""
    measurements = journal.all_measurements()
    print(f"\n{describe_machine()}, one core for the server")
    tables = {}
    for model in MODELS:
        table = summarise(one for one in measurements if one.model == model.name)
        if not table:
            continue
        tables[model.name] = {name: table[name] for name in NAMES if name in table}
        print(f"\n{model.title}; x: times the requests a second of: {Handwritten.name}\n")
        print(format_table(tables[model.name], Handwritten.name))
    ratios = find_ratios(measurements)
    print("\nrequests a second, ratios of the same round: the median (lowest to highest)\n")
    print("\n".join(format_ratio(ratio) for ratio in ratios))
    reasons = [{"model": model, "contestant": name, "why": why} for (model, name), why in skipped.items()]
    for reason in reasons:
        print("\nskipped with {model}: {contestant}: {why}".format(**reason))
    content = {
        "commits": journal.commits(),
        "seconds": arguments.seconds,
        "peers": {one.name: read_pins(one.peer) for one in PEERS},
        "skipped": reasons,
        "ratios": ratios_as_json(ratios),
        "medians": tables_as_json(tables),
        "measurements": [asdict(one) for one in measurements],
    }
    print(f"\n{write_results('peers', content, is_kept=arguments.keep)}")


if __name__ == "__main__":
    sys.exit(main())
