"""The gateway of the chaos: started, filled with models, and asked whether it is well."""

import asyncio
import hashlib
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson

from bench.http_connection import Connection
from bench.servers import HOST, Server, ServerFailedError, free_port
from bench.soak_gateway import MODELS_IN_BUDGET
from bench.soak_models import Rows, SoakVersion, perceptron
from examples import first_run

COLD_COUNT = 10
"""How many models there are that nobody asks for before it is tried whether they can be fetched."""


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


def start_gateway(folder: Path, settings: dict[str, str], *, log: Path) -> Server:
    """Return a gateway with two workers, not waited for yet."""
    port = free_port()
    program = str(Path(sys.executable).with_name("sardonyx"))
    command = [program, "serve", "--host", HOST, "--port", str(port), "--workers", "2"]
    settings = settings | {"SARDONYX_DATA_DIR": str(folder / "data")}
    return Server(command, port=port, ready_path="/health/ready", log=log, settings=settings)


def register_and_promote(port: int, folder: Path, versions: Sequence[SoakVersion]) -> int:
    """Register everything, promote the first versions, load all once, and return the budget of three versions."""
    measured: list[int] = []

    def register_model(model: str) -> None:
        for version in versions:
            if version.model == model:
                number = first_run.register(port, model, version.path, "for the chaos")
                route = f"/registry/models/{model}/versions/{number}"
                measured.append(first_run.ask(port, "GET", route)[1]["memory_bytes"])
        first_run.promote_unless_promoted(port, model, 1)

    def register_cold(number: int) -> None:
        path = folder / f"cold-{number}.onnx"
        path.write_bytes(perceptron(100 + number, (4, 8, 3)))
        first_run.register(port, f"cold-{number}", path, "never asked for before")
        if (folder / "data" / "cache" / hashlib.sha256(path.read_bytes()).hexdigest()).exists():
            raise first_run.RefusedError(f"cold-{number} is in the cache before anybody has asked for it")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(register_model, sorted({version.model for version in versions})))
        list(pool.map(register_cold, range(COLD_COUNT)))
    return max(measured) * MODELS_IN_BUDGET + max(measured) // 2


def load_all(port: int, versions: Sequence[SoakVersion], inputs: Sequence[Rows]) -> None:
    """Ask for every version once, so that each lies in the disk cache.

    Raises:
        RefusedError: one is not answered.
    """
    body = orjson.dumps({"inputs": {"x": inputs[0].tolist()}})
    for version in versions:
        status, answer = first_run.ask(port, "POST", f"/v{version.number}/models/{version.model}/predict", body)
        if status != 200:
            raise first_run.RefusedError(f"{version.model}:{version.number} was answered {status}: {answer}")


async def load_cold(port: int, model: str) -> None:
    """Ask for a model that no cache has.

    Raises:
        ServerFailedError: it is not answered.
    """
    connection = Connection(port)
    answer = await connection.request("POST", f"/v1/models/{model}/predict", b'{"inputs": [[0.5, 0.5, 0.5, 0.5]]}')
    connection.close()
    if answer.status != 200:
        raise ServerFailedError(f"a cold model was answered {answer.status}: {answer.body[:300]!r}")
