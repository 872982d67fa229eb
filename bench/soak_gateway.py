"""A gateway of its own for a trial: started, filled with models, asked what it takes."""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import orjson

from bench.http_connection import JSON_BODY, Answer, Connection
from bench.servers import HOST, Server, ServerFailedError, free_port, running
from bench.soak_models import SoakVersion
from examples import first_run

LOG = "sardonyx.log"
MODELS_IN_BUDGET = 3
PREPARING_SECONDS = 120
BYTES = {"content-type": "application/octet-stream"}


def start_gateway(folder: Path, settings: dict[str, str]) -> Server:
    port = free_port()
    program = str(Path(sys.executable).with_name("sardonyx"))
    command = [program, "serve", "--host", HOST, "--port", str(port), "--data-dir", str(folder / "data")]
    return Server(command, port=port, ready_path="/health/ready", log=folder / LOG, settings=settings)


def register_all(folder: Path, versions: Sequence[SoakVersion], settings: dict[str, str], token: str) -> int:
    """Register all, promote the first of each model, and return the budget that holds three of them once prepared."""
    with running(start_gateway(folder, settings)) as server:
        asyncio.run(_register_each(server.port, versions, token))
        measured = wait_until_prepared(folder / LOG, len(versions))
    return max(measured) * MODELS_IN_BUDGET + max(measured) // 2


async def _register_each(port: int, versions: Sequence[SoakVersion], token: str) -> None:
    connection = Connection(port, token)
    try:
        for version in versions:
            number = await register(connection, version.model, version.path.read_bytes())
            if number != version.number:
                raise first_run.RefusedError(f"{version.model} got the number {number} instead of {version.number}")
            if number == 1:
                await promote(connection, version.model, number)
    finally:
        connection.close()


async def register(connection: Connection, model: str, content: bytes) -> int:
    """Upload a version and return its number."""
    answer = await connection.request("POST", f"/registry/models/{model}/versions", content, BYTES)
    number: int = read(answer, 201)["version"]
    return number


async def promote(connection: Connection, model: str, number: int) -> None:
    """Have production point to a version."""
    body = orjson.dumps({"version": number})
    read(await connection.request("PUT", f"/registry/models/{model}/aliases/production", body, JSON_BODY), 200)


def read(answer: Answer, status: int) -> dict[str, int]:
    """Return the body of an answer that has this status.

    Raises:
        RefusedError: it has another one.
    """
    if answer.status != status:
        raise first_run.RefusedError(f"{answer.status} instead of {status}: {answer.body[:300]!r}")
    body: dict[str, int] = orjson.loads(answer.body)
    return body


def wait_until_prepared(log: Path, count: int) -> list[int]:
    """Return the bytes that each version takes, once the gateway's log says so of all."""
    deadline = time.monotonic() + PREPARING_SECONDS
    while True:
        lines = [orjson.loads(line) for line in log.read_bytes().rpartition(b"\n")[0].splitlines()]
        measured = [line["memory_bytes"] for line in lines if line["event"] == "prepared"]
        if len(measured) >= count:
            return measured
        if time.monotonic() > deadline:
            raise ServerFailedError(f"only {len(measured)} of {count} models were prepared in {PREPARING_SECONDS} s")
        time.sleep(0.1)
