"""What a full registry costs: the same calls with 100 versions and with 100,000, on PostgreSQL; part of `make bench`.

1. Two databases on one real server, a gateway on each. Twenty models of two versions are registered and served for
   real in both; the rest (up to 10 or 10,000 models with 10 versions each, promoted, with their events) is copied from
   them in the database.
2. The same call goes to the one and the other gateway in turn; the medians and their ratio are shown.
3. A first predict is one of a version that the gateway has never been asked for: looked up, fetched, loaded and run.
"""

import argparse
import http.client
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from onnx import ModelProto, TensorProto, helper, numpy_helper

from bench.servers import HOST, Server, ServerFailedError, free_port, running
from registry.sql import schema
from tests.support.postgres import PostgresServer

SERVED_MODELS = 20
VERSIONS_EACH = 10
SMALL_MODELS, LARGE_MODELS = 10, 10_000
ROUNDS = 100

FILL = """
INSERT INTO models (name, description, tags, next_number, created_at, created_by)
SELECT 'filler-' || to_char(i, 'FM00000'), 'fills the registry', '{}', %(each)s + 1, now(), 'bench'
FROM generate_series(1, %(models)s) i;
CREATE TEMP TABLE filler AS
SELECT m.id AS model_id, n AS number, encode(sha256((m.name || ':' || n)::bytea), 'hex') AS digest
FROM models m, generate_series(1, %(each)s) n WHERE m.name LIKE 'filler-%%';
INSERT INTO artifacts (digest, runtime, created_at)
SELECT digest, (SELECT runtime FROM artifacts LIMIT 1), now() FROM filler;
INSERT INTO artifact_files (artifact_digest, position, name, file_digest, size_bytes)
SELECT digest, 0, 'model.onnx', digest, 1000 FROM filler;
INSERT INTO inspections (artifact_digest, runtime, inspection, created_at)
SELECT f.digest, i.runtime, i.inspection, now() FROM filler f, (SELECT * FROM inspections LIMIT 1) i;
INSERT INTO versions (model_id, number, artifact_digest, description, tags, batching, created_at, created_by)
SELECT model_id, number, digest, '', '{}', 'exact', now(), 'bench' FROM filler;
INSERT INTO aliases (model_id, name, version, generation, updated_at)
SELECT model_id, 'production', number, 1, now() FROM filler WHERE number = 1;
INSERT INTO moves (model_id, alias, to_version, kind, actor, reason, at)
SELECT model_id, 'production', number, 'promote', 'bench', '', now() FROM filler WHERE number = 1;
INSERT INTO events (kind, model_id, version, actor, at, detail)
SELECT 'version_registered', model_id, number, 'bench', now(), '{}' FROM filler;
ANALYZE;
"""


@dataclass(frozen=True, slots=True)
class Contender:
    """A gateway over a registry of some size."""

    name: str
    port: int
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Any:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        try:
            connection.request(method, path, body, {"content-type": kind} if body is not None else {})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise ServerFailedError(f"{method} {path}: {answer.status} {content[:300]!r}")
        return orjson.loads(content)

    def time(self, call: str, method: str, path: str, body: bytes | None = None) -> None:
        """Ask, and note how long it took."""
        began = time.perf_counter()
        self.ask(method, path, body)
        self.seconds.setdefault(call, []).append(time.perf_counter() - began)


def main() -> int:
    argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__.splitlines()[0]).parse_args()
    try:
        small, large = measure()
    except ServerFailedError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"\nmedians in ms, {ROUNDS} calls each, in turn     {small.name:>16} {large.name:>16}    ratio")
    for call, seconds in small.seconds.items():
        here, there = statistics.median(seconds), statistics.median(large.seconds[call])
        print(f"{call:<44} {here * 1000:>16.2f} {there * 1000:>16.2f} {there / here:>8.2f}")
    return 0


def measure() -> tuple[Contender, Contender]:
    """Set up both, and ask them in turn."""
    with tempfile.TemporaryDirectory(prefix="sardonyx-scale-") as name, ExitStack() as opened:
        folder = Path(name)
        database = opened.enter_context(closing(PostgresServer()))
        contenders = tuple(
            _set_up(opened, folder / f"{models}", database, models) for models in (SMALL_MODELS, LARGE_MODELS)
        )
        small, large = contenders
        for number in range(ROUNDS):
            for contender in contenders if number % 2 else reversed(contenders):
                _ask_all(contender, number)
        return small, large


def _ask_all(contender: Contender, number: int) -> None:
    served = f"served-{number % SERVED_MODELS:02}"
    contender.time("list models (10 a page)", "GET", "/registry/models?limit=10")
    contender.time("list models, from the middle", "GET", "/registry/models?limit=10&after=filler-00005")
    contender.time("list versions", "GET", "/registry/models/filler-00005/versions")
    contender.time("show a model", "GET", f"/registry/models/{served}")
    contender.time("show a version", "GET", f"/registry/models/{served}/versions/1")
    body = b'{"version": %d}' % (1 + number // SERVED_MODELS % 2)
    contender.time("promote", "PUT", f"/registry/models/{served}/aliases/production", body)
    contender.time("read the feed's end", "GET", "/registry/events?limit=10&after=90")
    if number < 2 * SERVED_MODELS:
        path = f"/v{1 + number // SERVED_MODELS}/models/{served}/predict"
        contender.time("first predict", "POST", path, b'{"inputs": [[5.1, 3.5, 1.4, 0.2]]}')


def _set_up(opened: ExitStack, folder: Path, database: PostgresServer, models: int) -> Contender:
    name = f"registry_{models}"
    url = database.create(name)
    schema.upgrade(url)
    folder.mkdir()
    print(f"registering, and filling up to {models} models", flush=True)
    with running(_start(folder, url)) as first:
        contender = Contender("", first.port)
        for model in range(SERVED_MODELS):
            for number in range(2):
                route = f"/registry/models/served-{model:02}/versions"
                contender.ask("POST", route, _model(2 * model + number), "application/octet-stream")
    with closing(database.connect(name)) as connection, connection.transaction():
        for statement in FILL.split(";\n"):
            if statement.strip():
                connection.execute(statement.encode(), {"models": models, "each": VERSIONS_EACH})
    server = opened.enter_context(running(_start(folder, url)))  # a new one, which knows nothing yet
    return Contender(f"{models * VERSIONS_EACH:,} versions", server.port)


def _start(folder: Path, url: str) -> Server:
    port = free_port()
    command = [str(Path(sys.executable).with_name("sardonyx")), "serve", "--host", HOST, "--port", str(port)]
    settings = {"SARDONYX_DATA_DIR": str(folder / "data"), "SARDONYX_DATABASE_URL": url}
    return Server(command, port=port, ready_path="/health/ready", log=folder / "log", settings=settings)


def _model(seed: int) -> bytes:
    """Return a linear classifier of its own."""
    weights = numpy_helper.from_array(np.random.default_rng(seed).standard_normal((4, 3)).astype(np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("batch", 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("batch", 3))],
        [weights],
    )
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


if __name__ == "__main__":
    sys.exit(main())
