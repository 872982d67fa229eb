"""Predicting and moving while everything around fails: `make chaos`.

1. First processes die at each named point of an upload, a promotion and a rollback (`bench.deaths`).
2. Then a gateway with two workers runs on a real PostgreSQL and a real S3 server, the latter behind a gate that can
   make it drip. Sixteen connections predict by alias, six movers promote and roll back a model each, until a thousand
   moves have been acknowledged, and every fault of `bench.chaos_faults` has happened.
3. Every answer is compared, bit for bit, with what the runtime in this process makes of the version that the answer
   names, and that version has to have been live (`bench.chaos_answers`). No acknowledged move may be lost
   (`bench.chaos_history`). A request may fail only as `bench.chaos_load` says.
4. Of a hundred moves at most one may be followed by an old answer a second after its acknowledgement.
5. After the last trouble everything has to be well again without a restart: health, a cold load, a move.

All chance comes from a seed, which is printed and may be given again. The run takes up to fifteen minutes.
"""

import argparse
import asyncio
import random
import secrets
import sys
import tempfile
import time
from pathlib import Path

from bench import deaths
from bench.backends import Backends, backends
from bench.chaos_answers import quantile
from bench.chaos_gateway import load_all, register_and_promote, start_gateway
from bench.chaos_storm import LATE_SECONDS, Storm
from bench.servers import CACHE, HOST, ServerFailedError, end_tidily, free_port, running
from bench.soak_models import make_inputs, make_versions
from examples import first_run

MOVE_COUNT = 1000
RUN_SECONDS = 14 * 60.0
"""When no further fault is begun, for the whole to stay within fifteen minutes."""
VERSION_COUNT = 3
MOST_LINES = 20
LOG = CACHE / "chaos.log"
"""What the gateway of the last run has logged."""


def report(storm: Storm, *, move_count: int) -> int:
    """Print what has happened and return the exit code."""
    notes = storm.notes
    lateness = [late for judgement in storm.judgements.values() for late in judgement.lateness]
    p50, p99, longest = quantile(lateness, 0.5), quantile(lateness, 0.99), max(lateness, default=0.0)
    old_count = sum(judgement.old_count for judgement in storm.judgements.values())
    attempts = [attempt for mover in storm.movers for attempt in mover.attempts]
    unheard = [attempt for attempt in attempts if not attempt.is_acknowledged]
    promoted = sum(attempt.is_acknowledged and attempt.kind == "promote" for attempt in attempts)
    print(f"right answers    {notes.answered}, the slowest after {notes.slowest_seconds:.3f} s")
    print(
        f"moves            {storm.acknowledged_count} acknowledged ({promoted} promotions, "
        f"{storm.acknowledged_count - promoted} rollbacks); {len(unheard)} not, of which "
        f"{sum(attempt.row is not None for attempt in unheard)} took place all the same"
    )
    print(f"refused          {dict(notes.refused)} while the database was away")
    print(f"workers killed   {len(notes.killed)}; requests that broke with them {notes.broken}")
    print(f"old answers      {old_count}; after {sum(late > 0 for late in lateness)} of {len(lateness)} moves")
    print(f"last old answer  p50 {p50:.3f} s, p99 {p99:.3f} s, max {longest:.3f} s after the acknowledgement")
    print(f"failures         {sum(map(len, notes.failures.values()))}")
    for line in storm.failures()[:MOST_LINES]:
        print(f"  {line}")
    is_short = storm.acknowledged_count < move_count
    if is_short:
        print(f"fewer than {move_count} moves", file=sys.stderr)
    if p99 >= LATE_SECONDS:
        print(f"of a hundred moves more than one had old answers for {LATE_SECONDS:.0f} s", file=sys.stderr)
    return 1 if notes.failures or is_short or p99 >= LATE_SECONDS else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of all chance (drawn)")
    parser.add_argument("--moves", type=int, default=MOVE_COUNT, help=f"how many at least ({MOVE_COUNT})")
    parser.add_argument("--no-deaths", action="store_true", help="leave out what bench.deaths does alone as well")
    options = parser.parse_args()
    began = time.monotonic()
    end_tidily()
    print(f"seed {options.seed}", flush=True)
    choice = random.Random(options.seed)  # noqa: S311  no secret
    with tempfile.TemporaryDirectory(prefix="sardonyx-chaos-") as name, backends() as parts:
        folder = Path(name)
        died = 0 if options.no_deaths else deaths.run(folder / "deaths", parts.settings)
        try:
            storm = rage(folder, parts, choice, move_count=options.moves, ends_at=began + RUN_SECONDS)
        except (ServerFailedError, first_run.RefusedError, TimeoutError) as error:
            print(str(error) or "it has not recovered in time", file=sys.stderr)
            return 1
    code = report(storm, move_count=options.moves)
    print(f"seed {options.seed}, {time.monotonic() - began:.0f} s in all")
    return code or died


def rage(folder: Path, parts: Backends, choice: random.Random, *, move_count: int, ends_at: float) -> Storm:
    """Set everything up and run the storm.

    Raises:
        ServerFailedError, RefusedError, TimeoutError: the gateway does not do what it should before or after it.
    """
    inputs = make_inputs()
    versions = make_versions(folder, inputs, version_count=VERSION_COUNT)
    settings = parts.settings("chaos")
    with running(start_gateway(folder, settings, log=folder / "setup.log")) as gateway:
        budget_bytes = register_and_promote(gateway.port, folder, versions)
        load_all(gateway.port, versions, inputs)
    CACHE.mkdir(exist_ok=True)
    LOG.unlink(missing_ok=True)
    gate_port = free_port()
    gated = {"SARDONYX_S3_ENDPOINT_URL": f"http://{HOST}:{gate_port}", "SARDONYX_MEMORY_BUDGET": str(2 * budget_bytes)}
    with running(start_gateway(folder, settings | gated, log=LOG)) as gateway:
        storm = Storm(gateway, parts, versions, inputs, choice=choice, move_count=move_count, ends_at=ends_at)
        asyncio.run(storm.run(gate_port))
    return storm


if __name__ == "__main__":
    sys.exit(main())
