"""Predicting while everything around fails: `make chaos`.

1. A gateway with two workers on a real PostgreSQL and a real S3 server, the latter behind a gate that can make it drip.
2. 16 connections predict as in the soak, and aliases move, while in turn: the database is restarted, stands still for
   30 s, the S3 server stands still for 30 s, then sends a few bytes a second. A worker is killed every 5 s throughout.
3. Every answer is compared bit for bit, as in the soak. A predict may fail only if its connection broke because its
   worker was killed. A move may be refused while the database is away, and must then have changed nothing.
4. What the load asks for lies in the disk cache, since that is what an outage of the store is to be survived with.
   Before the S3 server stands still, and after the last trouble, a model is asked for that does not: it is fetched.
5. After the last trouble everything has to be well again without a restart: health, a move, that cold load.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import orjson

from bench.http_connection import Answer, Connection
from bench.servers import HOST, Server, ServerFailedError, free_port, running
from bench.soak import MODELS_IN_BUDGET, Soak, Tally
from bench.soak_models import Rows, SoakVersion, make_inputs, make_versions
from examples import first_run
from registry.sql import schema
from tests.support.gateway_process import children_of
from tests.support.postgres import PostgresServer
from tests.support.s3_server import BUCKET, S3Server, running_s3_server

CONNECTION_COUNT = 16
KILL_SECONDS = 5.0
OUTAGE_SECONDS = 30.0
CALM_SECONDS = 5.0
DRIP_BYTES_PER_SECOND = 2000
COLD_FILES = ("iris_logistic.onnx", "iris_forest.onnx")
COLD_BODY = b'{"inputs": {"x": [[5.1, 3.5, 1.4, 0.2]]}}'


class ChaosSoak(Soak):
    """The soak's load, on connections that may break when their worker is killed."""

    def __init__(self, port: int, versions: Sequence[SoakVersion], inputs: Sequence[Rows], *, until: float) -> None:
        super().__init__(port, versions, inputs, until=until, connection_count=CONNECTION_COUNT)
        self.refused_moves = 0

    def broken(self, error: Exception) -> None:
        """Rule 3: what was in flight in a killed worker."""
        self.tally.broken[type(error).__name__] += 1

    async def refused(self, connection: Connection, model: str, answer: Answer) -> int | None:
        """Return what is live after a move that was refused: asked as soon as somebody answers."""
        if answer.status not in (409, 503):  # away, or the move before it got through without an answer
            return await super().refused(connection, model, answer)
        self.refused_moves += 1
        while True:
            answer = await connection.request("GET", f"/registry/models/{model}/aliases/production")
            if answer.status == 200:
                return int(orjson.loads(answer.body)["version"])
            await asyncio.sleep(0.5)


class Gate:
    """A TCP proxy in front of the S3 server, which can let through a few bytes a second."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: set[asyncio.Task[None]] = set()
        self.is_dripping = False

    @asynccontextmanager
    async def open(self, port: int) -> AsyncIterator[None]:
        """Listen at ``port`` for as long as the block takes."""
        server = await asyncio.start_server(self._accept, HOST, port)
        try:
            yield
        finally:
            server.close()
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(HOST, self._port)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(self._pump(reader, there_writer), self._pump(there_reader, writer))
        except OSError:
            pass
        finally:
            writer.close()
            there_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(64 * 1024):
            if self.is_dripping:
                for start in range(0, len(chunk), DRIP_BYTES_PER_SECOND):
                    writer.write(chunk[start : start + DRIP_BYTES_PER_SECOND])
                    await writer.drain()
                    await asyncio.sleep(1.0)
            else:
                writer.write(chunk)
                await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def trouble(port: int, database: PostgresServer, store: S3Server, gate: Gate, say: Callable[[str], None]) -> None:
    """Everything that goes wrong, one after the other."""
    await asyncio.sleep(CALM_SECONDS)
    say("the database is restarted")
    await asyncio.to_thread(database.restart)
    await asyncio.sleep(CALM_SECONDS)
    say(f"the database stands still for {OUTAGE_SECONDS:.0f} s")
    database.pause()
    await asyncio.sleep(OUTAGE_SECONDS)
    database.resume()
    await asyncio.sleep(CALM_SECONDS)
    say("a cold model is fetched")
    await load_cold(port, 0)
    say(f"the S3 server stands still for {OUTAGE_SECONDS:.0f} s")
    with store.stopped():
        await asyncio.sleep(OUTAGE_SECONDS)
    say(f"the S3 server drips for {OUTAGE_SECONDS:.0f} s")
    gate.is_dripping = True
    await asyncio.sleep(OUTAGE_SECONDS)
    gate.is_dripping = False
    say("all is well again")
    await asyncio.sleep(CALM_SECONDS)


async def kill_workers(supervisor: int, killed: list[int]) -> None:
    """Kill one worker every five seconds."""
    while True:
        await asyncio.sleep(KILL_SECONDS)
        workers = await asyncio.to_thread(children_of, supervisor, "gateway.worker")
        if len(workers) > 1:  # the other one is there already
            victim = workers[len(killed) % len(workers)]
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)


async def run(
    gateway: Server, soak: ChaosSoak, gate: Gate, gate_port: int, database: PostgresServer, store: S3Server
) -> list[int]:
    """Load, trouble and kills together; returns the workers that were killed."""
    began = time.monotonic()
    killed: list[int] = []

    def say(words: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {words}", flush=True)

    async with gate.open(gate_port):
        loading = asyncio.create_task(soak.run())
        killing = asyncio.create_task(kill_workers(gateway.pid, killed))
        await trouble(gateway.port, database, store, gate, say)
        killing.cancel()
        soak.end()
        await loading
        await until_well(gateway.port)
        await load_cold(gateway.port, 1)
        await move(gateway.port)
        say("healthy; a cold model is fetched, an alias moves")
    return killed


async def until_well(port: int) -> None:
    """Return once health says that registry and store answer; the connections of killed workers are gone by then."""
    connection = Connection(port)
    while True:
        answer = await connection.request("GET", "/health/ready")
        state = orjson.loads(answer.body)
        if (answer.status, state.get("registry"), state.get("store")) == (200, "ok", "ok"):
            connection.close()
            return
        await asyncio.sleep(0.2)


async def load_cold(port: int, number: int) -> None:
    """Ask for a model that no cache has.

    Raises:
        ServerFailedError: it is not answered.
    """
    connection = Connection(port)
    answer = await connection.request("POST", f"/v1/models/cold-{number}/predict", COLD_BODY)
    connection.close()
    if answer.status != 200:
        raise ServerFailedError(f"a cold model was answered {answer.status}: {answer.body[:300]!r}")


async def move(port: int) -> None:
    """Promote something.

    Raises:
        ServerFailedError: it is refused.
    """
    connection = Connection(port)
    answer = await connection.request("PUT", "/registry/models/cold-0/aliases/production", b'{"version": 1}')
    connection.close()
    if answer.status != 200:
        raise ServerFailedError(f"a move was answered {answer.status}: {answer.body[:300]!r}")


def start_gateway(folder: Path, environment: dict[str, str]) -> Server:
    """Return a gateway with two workers, not waited for yet."""
    port = free_port()
    program = str(Path(sys.executable).with_name("sardonyx"))
    command = [program, "serve", "--host", HOST, "--port", str(port), "--workers", "2"]
    settings = environment | {"SARDONYX_DATA_DIR": str(folder / "data")}
    return Server(command, port=port, ready_path="/health/ready", log=folder / "sardonyx.log", settings=settings)


def report(tally: Tally, soak: ChaosSoak, killed: Sequence[int]) -> int:
    """Print what has happened and return the exit code."""
    print(f"right answers   {tally.answered}")
    print(f"slowest answer  {tally.slowest_seconds:.3f} s")
    print(f"moves           {tally.moves}, refused in an outage {soak.refused_moves}")
    print(f"workers killed  {len(killed)}; connections that broke with them {tally.broken.total()}")
    print(f"failures        {tally.failures.total()}")
    for what, count in tally.failures.most_common(20):
        print(f"  {count} x {what}")
    if tally.broken.total() > CONNECTION_COUNT * 2 * len(killed):
        print("more connections broke than the killed workers had", file=sys.stderr)
        return 1
    return 1 if tally.failures else 0


def main() -> int:
    argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__.splitlines()[0]).parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="sardonyx-chaos-") as name,
        closing(PostgresServer()) as database,
        running_s3_server() as store,
    ):
        folder = Path(name)
        inputs = make_inputs()
        versions = make_versions(folder, inputs)
        url = database.create("registry")
        schema.upgrade(url)
        gate_port = free_port()
        direct = {
            "SARDONYX_DATABASE_URL": url,
            "SARDONYX_STORE": f"s3://{BUCKET}/chaos",
            "SARDONYX_S3_ENDPOINT_URL": store.endpoint_url,
            **store.environment,
        }
        gated = direct | {"SARDONYX_S3_ENDPOINT_URL": f"http://{HOST}:{gate_port}"}
        gate = Gate(int(store.endpoint_url.rpartition(":")[2]))
        try:
            with running(start_gateway(folder, direct)) as gateway:
                budget_bytes = register_and_promote(gateway.port, versions)
            gateway = start_gateway(folder, gated | {"SARDONYX_MEMORY_BUDGET": str(2 * budget_bytes)})
            with running(gateway):
                soak = ChaosSoak(gateway.port, versions, inputs, until=time.monotonic() + 3600)
                killed = asyncio.run(run(gateway, soak, gate, gate_port, database, store))
        except (ServerFailedError, first_run.RefusedError) as error:
            print(error, file=sys.stderr)
            return 1
    return report(soak.tally, soak, killed)


def register_and_promote(port: int, versions: Sequence[SoakVersion]) -> int:
    """Register everything, promote the first versions, load all once, and return the budget of three versions."""
    measured: list[int] = []
    for version in versions:
        number = first_run.register(port, version.model, version.path, "for the chaos")
        measured.append(
            first_run.ask(port, "GET", f"/registry/models/{version.model}/versions/{number}")[1]["memory_bytes"]
        )
        first_run.promote_unless_promoted(port, version.model, number)
    for number in range(2):
        first_run.register(port, f"cold-{number}", first_run.EXAMPLES / COLD_FILES[number], "never asked for before")
    return max(measured) * MODELS_IN_BUDGET + max(measured) // 2


if __name__ == "__main__":
    sys.exit(main())
