"""Dying at each named point of an upload, a promotion and a rollback: part of `make chaos`; `python -m bench.deaths`.

1. A program of its own (`bench.dying`) does the operation on a real PostgreSQL and a real S3 server, and dies there.
2. Then nothing that was acknowledged before has changed; the operation has taken place as a whole if the death came
   after the commit, else not at all; alias, history and feed agree; nothing that it had started lives on.
3. `sardonyx fsck` finds nothing but bytes that no version has: of files that were stored, whose version was not.
4. The same operation again, in a process that lives, succeeds, and all is as if nobody had died: no number left out or
   given twice, no move and no event doubled, nothing left for fsck.
5. A gateway that starts on what is left answers for every version, bit for bit, and clears away what is half done.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from bench.backends import backends
from bench.dying_world import MODEL, State, World
from bench.servers import Server, end_tidily, free_port, running
from examples import first_run
from registry.artifact import MODEL_FILE
from registry.errors import ServiceError
from tests.support.artifacts import digest_of_bytes
from tests.support.gateway_process import SARDONYX

ORPHAN_SECONDS = 10.0
ROW = [[0.5, -1.0, 2.0, 0.25]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where a process dies."""

    where: str
    fuse: tuple[str, str, int]
    """See `bench.dying`."""
    is_done: bool = False
    """True if the operation has taken place then."""
    left_count: int = 0
    """How many files lie in the store then that no version has."""


def _in_transaction(*, left_count: int = 0) -> tuple[Point, ...]:
    return (
        Point(where="all is written, nothing committed", fuse=("commit", "before", 1), left_count=left_count),
        Point(where="committed, not answered", fuse=("commit", "after", 1), is_done=True),
    )


_MOVING = (
    Point(where="before the transaction", fuse=("writing", "before", 1)),
    Point(where="the alias is set, its move is not there", fuse=("transaction.set_alias", "after", 1)),
    Point(where="the move is there, its event is not", fuse=("transaction.add_move", "after", 1)),
    *_in_transaction(),
)
POINTS: Mapping[str, Sequence[Point]] = {
    "register": (
        Point(where="half of the file has arrived", fuse=("spool.write", "after", 1)),
        Point(where="the file has arrived", fuse=("spool.finish", "after", 1)),
        Point(where="it is being inspected", fuse=("inspector.inspect", "amid", 1)),
        Point(where="it is inspected", fuse=("store.put", "before", 1)),
        Point(where="it is stored", fuse=("writing", "before", 1), left_count=1),
        Point(
            where="its version is there, its event is not", fuse=("transaction.add_version", "after", 1), left_count=1
        ),
        *_in_transaction(left_count=1),
    ),
    "register_files": (
        Point(where="the first of two files is stored", fuse=("store.put", "after", 1), left_count=1),
        Point(where="both are stored", fuse=("inspector.inspect", "before", 1), left_count=2),
        Point(where="the first is stored again", fuse=("store.put", "after", 3), left_count=2),
        *_in_transaction(left_count=2),
    ),
    "promote": (
        Point(where="before the rehearsal", fuse=("folders.hold", "before", 1)),
        Point(where="its version is being loaded", fuse=("inspector.rehearse", "amid", 1)),
        *_MOVING,
    ),
    "roll_back": _MOVING,
}


WORLDS = {"uploading": ("register", "register_files"), "moving": ("promote", "roll_back")}


def examine(world: World, orders: Mapping[str, Any], point: Point) -> list[str]:
    """Have a process that obeys die at a point, and return what is not as it should be then and after another try."""
    before = world.state()
    after = before.after(orders)
    pid, code, words = world.die(orders, point.fuse)
    faults = [] if code == -signal.SIGKILL else [f"it did not die, but ended with {code}: {words}"]
    faults += [f"process {orphan} lives on" for orphan in orphans_of(pid)]
    faults += _difference("after the death", world.state(), after if point.is_done else before)
    faults += _fsck_faults(world, orders, point)
    number = after.versions[-1][0] if "files" in orders else orders["version"]
    try:
        told = world.obey(orders)
    except ServiceError as error:
        told = {"error": repr(error)}
    if told != {"version": number, "is_new": not point.is_done}:
        faults.append(f"a second try says {told}")
    faults += _difference("after a second try", world.state(), after)
    return faults  # that nothing is left now is seen after the next death, or in the end


def _fsck_faults(world: World, orders: Mapping[str, Any], point: Point) -> list[str]:
    stored = {str(digest_of_bytes(Path(path).read_bytes())) for path in orders.get("files", {}).values()}
    code, findings = world.fsck()
    is_known = all(kind == "bytes_without_row" and what in stored for kind, what in findings)
    if is_known and (code, len(findings)) == (1 if point.left_count else 0, point.left_count):
        return []
    return [f"fsck exits with {code} and finds {findings}"]


def _difference(when: str, found: State, expected: State) -> list[str]:
    return [] if found == expected else [f"{when} there is {found} in place of {expected}"]


def orphans_of(pid: int) -> list[int]:
    """Return which inspection children of a dead process live on, given a moment to end."""
    until = time.monotonic() + ORPHAN_SECONDS
    while True:
        found = [child for child in _processes() if f'"parent_pid": {pid},'.encode() in child[1]]
        if not found or time.monotonic() > until:
            return [child for child, _ in found]
        time.sleep(0.05)


def _processes() -> list[tuple[int, bytes]]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append((int(path.parent.name), path.read_bytes()))
        except OSError:
            continue  # it has ended
    return found


def survey(world: World) -> list[str]:
    """Start a gateway on what is left, and return what is wrong with it."""
    found = world.fsck()
    faults = [] if found == (0, []) else [f"fsck says {found}"]
    port = free_port()
    command = [SARDONYX, "serve", "--port", str(port)]
    server = Server(command, port=port, ready_path="/health/ready", log=world.log, settings=world.environment)
    with running(server):
        for number, _ in world.state().versions:
            files = {path.name: path for path in (world.log.parent / f"model-{number}").iterdir()}
            route = f"/v{number}/models/{MODEL}/predict"
            status, answer = first_run.ask(port, "POST", route, json.dumps({"inputs": ROW}).encode())
            if status != 200 or _bits(answer["outputs"]["y"]) != _bits(_run(files[MODEL_FILE])):
                faults.append(f"version {number} is answered {status}: {answer}")
        spooled = list((world.data_dir / "spool").iterdir())
        if spooled:
            faults.append(f"half files stay: {spooled}")
    return faults


def _run(path: Path) -> Any:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": np.array(ROW, np.float32)})[0]


def _bits(output: Any) -> bytes:
    return np.array(output, np.float32).tobytes()


def run(folder: Path, open_settings: Callable[[str], Mapping[str, str]]) -> int:
    """Die at all points, one line each, in two worlds side by side, and return the exit code.

    Args:
        folder: for both.
        open_settings: makes a registry and a store for a world of some name.
    """

    worlds = {name: World(folder / name, open_settings(name)) for name in WORLDS}  # Alembic has no room for threads
    with ThreadPoolExecutor(len(worlds)) as pool:
        return 1 if sum(pool.map(_live_through, worlds, worlds.values())) else 0


def _live_through(name: str, world: World) -> int:
    world.begin()
    fault_count = 0
    for deed in WORLDS[name]:
        for point in POINTS[deed]:
            fault_count += _tell(deed, point.where, examine(world, world.orders(deed), point))
    fault_count += _tell(name, "a gateway on what is left", survey(world))
    world.close()
    return fault_count


def _tell(deed: str, where: str, faults: Sequence[str]) -> int:
    print(f"{deed:15} {where:45} {'; '.join(faults) or 'well'}", flush=True)
    return len(faults)


def main() -> int:
    argparse.ArgumentParser(prog="python -m bench.deaths", description=__doc__.splitlines()[0]).parse_args()
    end_tidily()
    with tempfile.TemporaryDirectory(prefix="sardonyx-deaths-") as name, backends() as parts:
        return run(Path(name), parts.settings)


if __name__ == "__main__":
    sys.exit(main())
