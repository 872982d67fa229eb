"""JSON tensors beside the usual way in process: `make bench-codec`.

1. The usual way is ``orjson.loads``, ``numpy.array`` in the input's dtype, and ``orjson.dumps`` of an output as large,
   all in this process, without any check. Ours decodes, checks against the signature, and encodes a whole answer.
2. Both run on one core in turns, for several bodies; CPU time is what is compared, medians over the rounds.
3. Then a whole gateway on that core answers the large bodies over HTTP, and the CPU time of all its processes for a
   request is compared with the usual way for the same body, again in turns. Its model gives its input back.
4. Last, the same array travels as npy: in and out beside JSON in and out, and in alone beside JSON in, for a model that
   answers with one number of each row's. All four ways take turns.
"""

import argparse
import http.client
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from onnx import ModelProto, helper

from bench.servers import HOST, Server, ServerFailedError, free_port, pinned, running
from gateway.codec.json_tensors import JsonCodec
from registry.signature import Signature
from registry.tensor import DTYPES, TensorSpec
from tests.support import models

REQUESTS = 40
"""How many requests one server round is made of: its CPU time is counted in hundredths of a second."""

NPY_REQUESTS = 400
"""So many more of those that take a tenth."""

SAMPLE_SECONDS = 0.02

NPY = "application/x-npy"
OCTETS = "application/octet-stream"

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """A body, and how the usual way finds the tensor in it."""

    name: str
    array: Any
    body: bytes
    find: Callable[[Document], Any]

    def codec(self) -> JsonCodec:
        shape = ("n", *self.array.shape[1:])
        spec = TensorSpec(name="x", dtype=DTYPES[self.array.dtype.name], shape=shape)
        return JsonCodec(model="m", version=1, signature=Signature(inputs=(spec,), outputs=(spec,)))

    def ours(self, codec: JsonCodec) -> bytes:
        return codec.encode(["x"], [codec.decode(self.body).feed["x"]], request_id=None)

    def usual(self) -> bytes:
        array = np.array(self.find(orjson.loads(self.body)), dtype=self.array.dtype)
        answer = {"model": "m", "version": 1, "outputs": {"x": array.reshape(self.array.shape)}}
        return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def by_name(array: Any) -> tuple[bytes, Callable[[Document], Any]]:
    return json.dumps({"inputs": {"x": array.tolist()}}).encode(), lambda document: document["inputs"]["x"]


def short(array: Any) -> tuple[bytes, Callable[[Document], Any]]:
    body = orjson.dumps({"inputs": {"x": array}}, option=orjson.OPT_SERIALIZE_NUMPY)
    return body, lambda document: document["inputs"]["x"]


def rows(array: Any) -> tuple[bytes, Callable[[Document], Any]]:
    return json.dumps({"instances": array.tolist()}).encode(), lambda document: document["instances"]


def flat(array: Any) -> tuple[bytes, Callable[[Document], Any]]:
    body = json.dumps({"inputs": {"x": {"shape": array.shape, "data": array.ravel().tolist()}}}).encode()
    return body, lambda document: document["inputs"]["x"]["data"]


def make_cases() -> list[Case]:
    random = np.random.default_rng(0)

    def floats(*shape: int) -> Any:
        return random.standard_normal(shape)

    large = floats(1000, 128).astype(np.float32)
    image = random.integers(0, 256, (1, 3, 224, 224), dtype=np.uint8)
    named = [
        ("[1, 4] float32", np.array([[5.1, 3.5, 1.4, 0.2]], np.float32), short),
        ("[1, 4] int64", random.integers(0, 1000, (1, 4)), by_name),
        ("[32, 128] float32", floats(32, 128).astype(np.float32), by_name),
        ("[1000, 128] float32", large, by_name),
        ("[1000, 128] float32, short decimals", large, short),
        ("[1000, 128] float32, rows", large, rows),
        ("[1000, 128] float32, shape and data", large, flat),
        ("[1000, 128] float64", floats(1000, 128), by_name),
        ("[1000, 128] int64", random.integers(-(2**40), 2**40, (1000, 128)), by_name),
        ("[1, 3, 224, 224] uint8", image, by_name),
        ("[1, 3, 224, 224] float32", (image / 255).astype(np.float32), short),
        ("[20000, 4] float32", floats(20000, 4).astype(np.float32), short),
    ]
    return [Case(name, array, *form(array)) for name, array, form in named]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.codec", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="how often each is measured (9)")
    parser.add_argument("--only", choices=("process", "server"), help="one part")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    cases = make_cases()
    if arguments.only != "server":
        with pinned(cores[0]):
            in_process(cases, arguments.rounds)
    if arguments.only != "process":
        try:
            over_http([case for case in cases if case.array.shape == (1000, 128)][:2], arguments.rounds, cores)
        except ServerFailedError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


def in_process(cases: list[Case], rounds: int) -> None:
    print(f"{'CPU us, medians':40}{'usual':>10}{'ours':>10}{'ratio':>8}{'decode':>10}")
    for case in cases:
        codec = case.codec()
        if orjson.loads(case.ours(codec)) != orjson.loads(case.usual()):
            raise AssertionError(case.name)
        ways = (case.usual, lambda: case.ours(codec), lambda: codec.decode(case.body))  # noqa: B023  used within the turn
        usual, ours, decode = cpu_in_turns(ways, rounds)
        print(
            f"{case.name:40}{usual * 1e6:>10.1f}{ours * 1e6:>10.1f}{ours / usual:>8.2f}{decode * 1e6:>10.1f}",
            flush=True,
        )


def cpu_in_turns(ways: tuple[Callable[[], object], ...], rounds: int) -> list[float]:
    """Return the median CPU seconds of one call of each."""
    counts = [max(1, round(SAMPLE_SECONDS / cpu_seconds(way, 3))) for way in ways]
    samples = [[cpu_seconds(way, count) for way, count in zip(ways, counts, strict=True)] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*samples, strict=True)]


def cpu_seconds(way: Callable[[], object], count: int) -> float:
    began = time.thread_time()
    for _ in range(count):
        way()
    return (time.thread_time() - began) / count


def over_http(cases: list[Case], rounds: int, cores: list[int]) -> None:
    print(f"\n{'CPU us a request, medians':40}{'usual':>10}{'gateway':>10}{'ratio':>8}")
    with tempfile.TemporaryDirectory(prefix="sardonyx-codec-") as folder:
        port = free_port()
        program = str(Path(sys.executable).with_name("sardonyx"))
        where = ["--host", HOST, "--port", str(port), "--data-dir", str(Path(folder, "data"))]
        command = [program, "serve", "--workers", "1", *where]
        server = Server(command, port=port, ready_path="/health/ready", log=Path(folder, "log"), core=cores[0])
        with running(server), pinned(cores[-1]):
            connection = http.client.HTTPConnection(HOST, port, timeout=60)
            model = models.identity("float32", ("n", 128)).SerializeToString()
            ask(connection, "/registry/models/echo/versions", model, OCTETS)
            for case in cases:
                measure(case, connection, server, rounds, cores)
            ask(connection, "/registry/models/first/versions", first_column().SerializeToString(), OCTETS)
            compare_forms(cases[0], connection, server, rounds)
            connection.close()


def first_column() -> ModelProto:
    """Float32 x [n, 128] -> y [n]: the first number of each row, so that all of x has to come, and little goes."""
    return models.model(
        [helper.make_node("Gather", ["x", "first"], ["y"], axis=1)],
        [models.value("x", shape=("n", 128))],
        [models.value("y", shape=("n",))],
        initializers=[models.initializer("first", np.array(0))],
    )


def compare_forms(case: Case, connection: http.client.HTTPConnection, server: Server, rounds: int) -> None:
    file = BytesIO()
    np.save(file, case.array)
    bodies = {"application/json": case.body, NPY: file.getvalue()}
    ways = [(model, kind) for model in ("echo", "first") for kind in bodies]
    for model, kind in ways:
        answer = ask(connection, f"/v1/models/{model}/predict", bodies[kind], kind)
        array = np.load(BytesIO(answer)) if kind == NPY else np.float32(orjson.loads(answer)["outputs"]["y"])
        if not np.array_equal(array, case.array if model == "echo" else case.array[:, 0]):
            raise ServerFailedError(f"a wrong answer in {kind}")
    samples = [
        [server_seconds(connection, server, model, kind, bodies[kind]) for model, kind in ways] for _ in range(rounds)
    ]
    echo_json, echo_npy, first_json, first_npy = (statistics.median(column) for column in zip(*samples, strict=True))
    print(f"\n{'CPU us a request, medians':40}{'JSON':>10}{'npy':>10}{'ratio':>8}")
    for name, there, here in (("as large an answer", echo_json, echo_npy), ("a short answer", first_json, first_npy)):
        label = f"{case.name}, {name}"
        print(f"{label:40}{there * 1e6:>10.0f}{here * 1e6:>10.0f}{here / there:>8.3f}", flush=True)


def server_seconds(connection: http.client.HTTPConnection, server: Server, model: str, kind: str, body: bytes) -> float:
    count = REQUESTS if kind == "application/json" else NPY_REQUESTS
    before = server.cpu_seconds()
    for _ in range(count):
        ask(connection, f"/v1/models/{model}/predict", body, kind)
    return (server.cpu_seconds() - before) / count


def measure(case: Case, connection: http.client.HTTPConnection, server: Server, rounds: int, cores: list[int]) -> None:
    path = "/v1/models/echo/predict"
    if not np.array_equal(np.float32(orjson.loads(ask(connection, path, case.body))["outputs"]["y"]), case.array):
        raise ServerFailedError("a wrong answer")
    usual, ours = [], []
    for _ in range(rounds):
        with pinned(cores[0]):
            usual.append(cpu_seconds(case.usual, REQUESTS))
        before = server.cpu_seconds()
        for _ in range(REQUESTS):
            ask(connection, path, case.body)
        ours.append((server.cpu_seconds() - before) / REQUESTS)
    there, here = statistics.median(usual), statistics.median(ours)
    print(f"{case.name:40}{there * 1e6:>10.0f}{here * 1e6:>10.0f}{here / there:>8.2f}", flush=True)


def ask(connection: http.client.HTTPConnection, path: str, body: bytes, kind: str = "application/json") -> bytes:
    connection.request("POST", path, body, {"content-type": kind})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status >= 300:
        raise ServerFailedError(f"{path}: {answer.status} {content[:300]!r}")
    return content


if __name__ == "__main__":
    sys.exit(main())
