"""Gateways that die, drain, are cut off and are added, under load and with promotions going on: `make replicas-faults`.

1. Three gateways on hosts of their own (network namespaces), behind HAProxy as `sardonyx deploy print` says, on
   one PostgreSQL and one S3 server. A steady load asks for 60 models through the alias; four of them are promoted and
   rolled back all the time. Each version answers a number of its own.
2. What happens is told in `bench.replicas_phases`, and judged as `bench.replicas_judgement` says: no wrong answer, no
   failed request but those under way in the gateway that was killed, and the ring moves only its share.
3. No acknowledged move may be lost (`bench.chaos_history`), and no request of the control plane fails.
"""

import argparse
import asyncio
import random
import secrets
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.chaos_answers import Timeline
from bench.chaos_history import history_faults
from bench.chaos_load import Notes
from bench.chaos_moves import Mover
from bench.replicas_constants import Constants
from bench.replicas_judgement import Attribution, Verdict, judge_answers, judge_phases
from bench.replicas_load import Asked, Load
from bench.replicas_network import gateway_host
from bench.replicas_phases import UP, Faults
from bench.replicas_proxy import PROXY, configuration, running_proxy
from bench.replicas_world import REGISTRY, World, lines_of, register_all, world
from bench.report import write_results
from bench.servers import ServerFailedError, end_tidily
from examples import first_run

GATEWAYS = tuple(map(gateway_host, (1, 2, 3)))
NEWCOMER = gateway_host(4)
MOVED = {f"moved-{number}": 3 for number in range(4)}
STILL = {f"still-{number:02}": 1 for number in range(56)}
COLD_EACH, COLD_PHASES = 8, 5
COLD = {f"cold-{number:02}": 1 for number in range(COLD_EACH * COLD_PHASES)}
MOVE_PAUSE_SECONDS = 2.0
WARM_UP_SECONDS = 15.0
RECOVERY_SECONDS = 90.0
MOST_LINES = 12


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What the run has come to."""

    verdicts: Sequence[Verdict]
    faults: list[str] = field(default_factory=list)
    """Of answers, of moves and of the control plane."""
    moves: int = 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.replicas_faults", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of all chance (drawn)")
    parser.add_argument("--replays", action="store_true", help="print the proxy's configuration with --replays")
    parser.add_argument("--logs", type=Path, help="a folder where the logs are kept; nowhere by default")
    parser.add_argument("--keep", action="store_true", help="write bench/results")
    options = parser.parse_args()
    end_tidily()
    print(f"seed {options.seed}", flush=True)
    words = ["--replays"] if options.replays else []
    with ExitStack() as opened:
        folder = options.logs or Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="sardonyx-replicas-")))
        folder.mkdir(exist_ok=True, parents=True)
        try:
            outcome = run(folder, random.Random(options.seed), words)  # noqa: S311  no secret
        except (ServerFailedError, first_run.RefusedError, TimeoutError) as error:
            print(str(error) or "it has not recovered in time", file=sys.stderr)
            return 1
    code = report(outcome)
    rows = [row_of(verdict) for verdict in outcome.verdicts]
    content = {"seed": options.seed, "replays": options.replays, "moves": outcome.moves, "phases": rows}
    print(write_results("replicas-faults", content, is_kept=options.keep))
    return code


def run(folder: Path, choice: random.Random, words: Sequence[str]) -> Outcome:
    """Set everything up, have it all happen, and judge it."""
    constants = Constants(version_counts=MOVED | STILL | COLD)
    text = configuration([*GATEWAYS, NEWCOMER], REGISTRY, *words)
    settings: Mapping[str, str] = {}
    with world(folder, [*GATEWAYS, NEWCOMER]) as made:
        asyncio.run(register_all(made, constants.uploads()))
        servers = {host: made.start(host, settings) for host in GATEWAYS}
        for server in servers.values():
            server.wait_until_ready()
        with running_proxy(folder, text) as proxy:
            proxy.wait_until(lambda states: all(states[host.name] == UP for host in GATEWAYS))
            load = Load(lambda: made.connect(PROXY), constants, [*MOVED, *STILL])
            cold = list(COLD)
            shares = [cold[at : at + COLD_EACH] for at in range(0, len(cold), COLD_EACH)]
            faults = Faults(made, proxy, servers, load=load, cold=shares, settings=settings)
            return asyncio.run(rage(made, load, faults, choice))


async def rage(made: World, load: Load, faults: Faults, choice: random.Random) -> Outcome:
    """Have everything happen at once, and judge it."""
    notes = Notes()
    movers = [
        Mover(
            made.connect(PROXY),
            model,
            range(1, count + 1),
            random.Random(choice.random()),  # noqa: S311  no secret
            notes,
            pause_seconds=MOVE_PAUSE_SECONDS,
        )
        for model, count in MOVED.items()
    ]
    busy = [asyncio.create_task(load.run(random.Random(choice.random())))]  # noqa: S311  as above
    await asyncio.sleep(WARM_UP_SECONDS)
    busy += [asyncio.create_task(mover.run()) for mover in movers]
    try:
        await faults.run(choice, NEWCOMER)
    finally:
        notes.is_ending = load.is_ending = True
    async with asyncio.timeout(RECOVERY_SECONDS):
        await asyncio.gather(*busy)
        histories = [await mover.finish() for mover in movers]
    await asyncio.sleep(1)  # logs are written in bundles
    verdicts = judge_phases(faults.phases, load.asked, attribute(made, load.asked))
    outcome = Outcome(verdicts=verdicts, faults=[f"{len(at)} x {what}" for what, at in notes.failures.items()])
    outcome.faults += [f"{one.id}, {one.model}: {one.fault}" for one in load.asked if one.fault.startswith("WRONG")]
    outcome.faults += [f"{one.model} answered {one.version}" for one in load.asked if one.version > versions_of(one)]
    for mover, rows in zip(movers, histories, strict=True):
        outcome.moves += mover.acknowledged_count
        outcome.faults += history_faults(rows, mover.attempts)
        outcome.faults += judge_answers(verdicts, mover.model, load.asked, Timeline(rows, mover.attempts))
    return outcome


def versions_of(one: Asked) -> int:
    """Return how many versions a model has that may answer."""
    return MOVED.get(one.model, 1)


def attribute(made: World, asked: Sequence[Asked]) -> Attribution:
    """Read in the gateways' logs who has answered what, and count who has refused."""
    hosts, answered = [*GATEWAYS, NEWCOMER], dict[str, frozenset[str]]()
    wanted, refused = {one.id for one in asked}, set[str]()
    for host in hosts:
        lines = [line for line in lines_of(made.log_of(host)) if line.get("request_id") in wanted]
        answered[host.name] = frozenset(str(line["request_id"]) for line in lines if line.get("code") == "ok")
        refused |= {str(line["request_id"]) for line in lines} - answered[host.name]
    return Attribution(answered, frozenset(refused), hosts)


def report(outcome: Outcome) -> int:
    """Print the table and return the exit code."""
    names = "requests", "in flight", "failed", "elsewhere", "slowest s", "old", "latest s", "moved", "of", "passed over"
    columns = *names, "strayed"
    print(f"\n{'':28}" + "".join(f"{column:>12}" for column in columns))
    for verdict in outcome.verdicts:
        row = list(row_of(verdict).values())
        print(f"{row[0]:28}" + "".join(f"{cell!s:>12}" for cell in row[2 : 2 + len(columns)]))
    failed = [
        *(f"{v.phase.name}: {count} x {what}" for v in outcome.verdicts for what, count in v.failures.most_common()),
        *(f"{v.phase.name}: {what}" for v in outcome.verdicts for what in v.strayed),
        *outcome.faults,
    ]
    print(f"{outcome.moves} moves acknowledged; {len(failed)} kinds of faults")
    for line in failed[:MOST_LINES]:
        print(f"  {line}")
    return 1 if failed or not outcome.moves else 0


def row_of(verdict: Verdict) -> dict[str, object]:
    """Return a phase as the table and the results have it."""
    return {
        "fault": verdict.phase.name,
        "gateway": verdict.phase.victim,
        "requests": verdict.requests,
        "in_flight": verdict.in_flight,
        "failed": sum(verdict.failures.values()),
        "elsewhere": verdict.elsewhere,
        "slowest_seconds": round(verdict.slowest_seconds, 3),
        "old_answers": verdict.old,
        "latest_seconds": round(verdict.latest_seconds, 3),
        "moved": "/".join(map(str, verdict.moved)),
        "models": verdict.models,
        "passed_over": verdict.passed_over,
        "strayed": len(verdict.strayed),
        "failures": dict(verdict.failures),
        "down": [sorted(window.down) for window in verdict.phase.windows],
        "seconds": round(verdict.phase.end - verdict.phase.begin, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
