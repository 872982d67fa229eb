"""Half an hour of everything at once, once it is warm, and the gateway ends where it began: `make soak`.

1. Six models of two versions each, prepared before it begins, two workers; the memory budget, from what the versions
   then take, holds three of the twelve. Tokens are asked for.
2. Connections predict through the alias `production` in every dialect; versions are promoted and rolled back, come and
   are retired; bad requests of many kinds come in between, files that are refused, uploads that are cut, callers that
   dawdle or leave, endless loops (`soak_load`, `soak_changes`, `soak_nuisance`, `soak_hostile`).
3. Every good answer is compared, bit for bit, with what the runtime in this process makes of the version that the
   answer names; every bad request has to get its own status and code. Anything else is a failure; one is too many.
4. Each second the gateway's processes are read (`soak_readings`). When everything has happened for a while, all stop,
   the caches are brought into one and the same state, and what is read then is the beginning; the end is read alike.
   Memory may have grown by a tenth, all else by two (`soak_balance`).
5. A run without evictions, or without moves, has proved nothing and fails as well.
"""

import argparse
import asyncio
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from bench.backends import backends
from bench.http_connection import Connection
from bench.servers import CACHE, ServerFailedError, end_tidily, free_port, running
from bench.soak_balance import Line, table
from bench.soak_gateway import LOG, register_all, start_gateway
from bench.soak_hostile import PREDICT_SECONDS, register_hostile
from bench.soak_load import Notes, Place
from bench.soak_models import make_inputs, make_versions
from bench.soak_nuisance import MOST_BODY_BYTES, MOST_UPLOAD_BYTES
from bench.soak_readings import Count, Readings
from bench.soak_run import Run
from examples import first_run

MINUTES = 42.0
WARM_UP_MINUTES = 12.0
"""Until then pools of threads grow to what they may have, forks come to own the pages that they write to, and arenas of
the allocators have been as full as they get: workers grew by 40 MB in ten minutes, and not in the next twenty."""
WORKERS = 2
DATABASE = "soak"
HAS_KILLERS = True
MOST_LINES = 20


@contextmanager
def backing(folder: Path, *, is_production: bool) -> Iterator[tuple[Mapping[str, str], Count]]:
    """Give the settings of registry and store, and what counts the connections to the registry's database."""
    if not is_production:
        database = str(folder / "data" / "registry.sqlite3")
        yield {}, lambda links: sum(link.startswith(database) for link in links)
        return
    with backends() as parts, closing(parts.database.connect()) as watching:

        def count(_links: Iterable[str]) -> int:
            asked = watching.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [DATABASE])
            return int(str(asked.fetchone()[0]))  # type: ignore[index]  # a count has one row

        yield parts.settings(DATABASE), count


def make_token(folder: Path, settings: Mapping[str, str]) -> str:
    """Make an admin's token as an admin does, on the machine of the gateway."""
    program = str(Path(sys.executable).with_name("sardonyx"))
    command = [program, "token", "create", "soak", "--role", "admin"]
    environment = {**settings, "SARDONYX_DATA_DIR": str(folder / "data"), "PATH": ""}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def soak(folder: Path, options: argparse.Namespace) -> tuple[Notes, Sequence[Line], float]:
    """Set everything up and run; return what has happened, what became of each measure, and the evictions.

    Raises:
        ServerFailedError, RefusedError: the gateway does not do what it should before it begins, or after it.
    """
    choice = random.Random(options.seed)  # noqa: S311  a load, not a secret
    inputs = make_inputs()
    versions = make_versions(folder, inputs)
    scratch = folder / "tmp"
    scratch.mkdir()
    with backing(folder, is_production=options.production) as (chosen, count):
        token = make_token(folder, chosen)
        rpc_port = free_port()
        settings = {
            **chosen,
            "SARDONYX_AUTH": "on",
            "SARDONYX_WORKERS": str(WORKERS),
            "SARDONYX_GRPC_PORT": str(rpc_port),
            "SARDONYX_MAX_BODY_BYTES": str(MOST_BODY_BYTES),
            "SARDONYX_MAX_UPLOAD_BYTES": str(MOST_UPLOAD_BYTES),
            "SARDONYX_PREDICT_TIMEOUT_SECONDS": str(PREDICT_SECONDS),
            "TMPDIR": str(scratch),
        }
        budget_bytes = register_all(folder, versions, settings, token)
        settings["SARDONYX_MEMORY_BUDGET"] = str(WORKERS * budget_bytes)
        with running(start_gateway(folder, settings)) as server:
            place = Place(port=server.port, rpc_port=rpc_port, token=token)
            asyncio.run(register_hostile(place, has_killers=options.killers))
            data = folder / "data"
            folders = (scratch, data / "spool", data / "store" / "tmp", data / "cache" / ".tmp")
            readings = Readings(server.pid, (server.port, rpc_port), folders, count)
            run = Run(
                server,
                place,
                folder,
                versions=versions,
                inputs=inputs,
                choice=choice,
                has_killers=options.killers,
                take=readings.read,
            )
            warm_up = min(options.warm_up, options.minutes / 2) * 60
            lines = asyncio.run(run.run(warm_up, options.minutes * 60 - warm_up))
            evictions = asyncio.run(read_evictions(place))
    return run.notes, lines, evictions


async def read_evictions(place: Place) -> float:
    """Sum the samples of /metrics that count evictions."""
    connection = Connection(place.port, place.token)
    try:
        answer = await connection.request("GET", "/metrics")
    finally:
        connection.close()
    samples = [line.rsplit(" ", 1) for line in answer.body.decode().splitlines() if not line.startswith("#")]
    return sum(float(value) for name, value in samples if name.startswith("sardonyx_cache_evictions_total"))


def report(notes: Notes, lines: Sequence[Line], evictions: float) -> int:
    """Print what has happened and return the exit code."""
    failed = notes.failures.total()
    print(f"right answers   {notes.answered.total()}: {dict(notes.answered)}")
    print(f"slowest answer  {notes.slowest_seconds:.3f} s")
    print(f"evictions       {evictions:.0f}")
    for what, count in sorted(notes.done.items()):
        print(f"  {count:6} x {what}")
    print(f"failures        {failed}")
    for what, count in notes.failures.most_common(MOST_LINES):
        print(f"  {count:6} x {what}")
    print(table(lines))
    if not evictions or not notes.done["move"]:
        print("nothing was evicted or nothing was moved: this run proves nothing", file=sys.stderr)
        return 1
    return 1 if failed or not all(line.is_balanced for line in lines) else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"of load ({MINUTES:.0f})")
    parser.add_argument(
        "--warm-up", type=float, default=WARM_UP_MINUTES, help=f"minutes of it, at most half ({WARM_UP_MINUTES:.0f})"
    )
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of all chance (drawn)")
    parser.add_argument("--production", action="store_true", help="on PostgreSQL and S3")
    parser.add_argument(
        "--killers",
        action=argparse.BooleanOptionalAction,
        default=HAS_KILLERS,
        help="numbers that kill, too, sent to a model that is isolated",
    )
    options = parser.parse_args()
    end_tidily()
    began = time.monotonic()
    print(f"seed {options.seed}", flush=True)
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sardonyx-soak-") as name:
        folder = Path(name)
        try:
            notes, lines, evictions = soak(folder, options)
        except (ServerFailedError, first_run.RefusedError) as error:
            print(error, file=sys.stderr)
            return 1
        finally:
            if (folder / LOG).exists():
                shutil.copy(folder / LOG, CACHE / "soak.log")
    code = report(notes, lines, evictions)
    print(f"seed {options.seed}, {time.monotonic() - began:.0f} s in all")
    return code


if __name__ == "__main__":
    sys.exit(main())
