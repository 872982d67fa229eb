"""This gateway beside the app people write by hand and a bare ASGI answer: `make bench`.

1. The server has one core, the load generator another. One server runs at a time.
2. Servers take turns, in several rounds, each time in new processes: what the machine does meanwhile hits all alike.
   The medians over the rounds are shown.
3. The same request goes to all. The answer is compared with the runtime's, to the last bit, before and after each
   server's turn; whatever is no 200 in between is counted.
4. CPU per request is the time of the server's whole process tree, by the kernel's count.
"""

import argparse
import http.client
import os
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.contestants import BASELINE, BODY, CONTESTANTS, Contestant, WrongAnswerError
from bench.report import Measurement, describe_machine, format_table, summarise, write_results
from bench.servers import HOST, Server, ServerFailedError, running
from bench.wrk import LoadFailedError, find_wrk, run_wrk

CONNECTIONS = (1, 16, 64)


def main() -> int:
    arguments = parse_arguments()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("two cores are needed: one for the server, one for the load", file=sys.stderr)
        return 2
    try:
        wrk = find_wrk()
    except LoadFailedError as error:
        print(error, file=sys.stderr)
        return 2
    contestants = [one for one in CONTESTANTS if not arguments.only or one.name in arguments.only]
    try:
        measurements = list(measure_all(contestants, arguments, wrk, cores))
    except (ServerFailedError, WrongAnswerError, LoadFailedError) as error:
        print(error, file=sys.stderr)
        return 1
    table = summarise(measurements)
    print(f"\n{describe_machine()}, one core for the server; x: times the {BASELINE} app's requests a second\n")
    print(format_table(table, BASELINE))
    print(f"\n{write_results(table, measurements, seconds=arguments.seconds)}")
    return 1 if any(one.load.error_count for one in measurements) else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each server has its turn (3)")
    parser.add_argument("--seconds", type=int, default=5, help="how long each measurement takes (5)")
    parser.add_argument("--only", action="append", metavar="NAME", help="one server; may be repeated")
    arguments = parser.parse_args()
    names = {one.name for one in CONTESTANTS}
    if arguments.only and not names.issuperset(arguments.only):
        parser.error(f"--only takes: {', '.join(sorted(names))}")
    return arguments


def measure_all(
    contestants: list[Contestant], arguments: argparse.Namespace, wrk: str, cores: list[int]
) -> Iterator[Measurement]:
    with tempfile.TemporaryDirectory(prefix="sardonyx-bench-") as folder:
        for turn in range(arguments.rounds):
            first = turn % len(contestants)  # nobody always follows the same neighbour
            for contestant in contestants[first:] + contestants[:first]:
                print(f"round {turn + 1} of {arguments.rounds}: {contestant.name}", flush=True)
                with running(contestant.start(Path(folder), cores[0])) as server:
                    contestant.prepare(server)
                    check(contestant, server)
                    yield from measure(contestant, server, turn, arguments.seconds, wrk=wrk, core=cores[1])
                    check(contestant, server)


def measure(
    contestant: Contestant, server: Server, turn: int, seconds: int, *, wrk: str, core: int
) -> Iterator[Measurement]:
    """Load the server at each number of connections, after a second of warming up."""
    load_server = partial(
        run_wrk, wrk, port=server.port, path=contestant.path, body=BODY, headers=contestant.headers, core=core
    )
    load_server(connections=16, seconds=1)
    for connections in CONNECTIONS:
        before = server.cpu_seconds()
        load = load_server(connections=connections, seconds=seconds)
        cpu_seconds = server.cpu_seconds() - before
        yield Measurement(
            contestant=contestant.name, connections=connections, round=turn, load=load, cpu_seconds=cpu_seconds
        )


def check(contestant: Contestant, server: Server) -> None:
    """Ask once and compare."""
    connection = http.client.HTTPConnection(HOST, server.port, timeout=30)
    try:
        connection.request("POST", contestant.path, BODY, {"content-type": "application/json"} | contestant.headers)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise WrongAnswerError(f"{contestant.name} answered {answer.status}: {body[:500]!r}")
    contestant.check(body)


if __name__ == "__main__":
    sys.exit(main())
