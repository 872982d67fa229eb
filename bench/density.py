"""What four workers with the same models take beside one, and what a thousand tiny models take: `make bench-density`.

1. MiniLM, ResNet-50 and the recogniser are registered and prepared. A gateway with one worker, then one with four, is
   started on them; its workers' memory (PSS, smaps_rollup: what is shared counts once) is read before any session is
   loaded, and when every worker has all three and has run them.
2. The growth with four workers is at most 1.6 times that with one.
3. A thousand names of one tiny model are asked for in one worker: it grows by at most 1 MB for each, and by no thread.
"""

import argparse
import http.client
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import orjson

from bench.memory import Taken, taken_by
from bench.servers import HOST, ROOT, Server, ServerFailedError, running
from bench.soak_gateway import LOG, start_gateway, wait_until_prepared
from examples import first_run
from tests.support.real_models import RealModel, backend_models, published_models

NAMES = ("minilm-int8", "light-light-resnet50", "ocr-recogniser")
TINY = ROOT / "examples" / "iris_logistic.onnx"
TINY_COUNT = 1000
WORKERS = 4
MOST_TIMES = 1.6
MOST_TINY_BYTES = 1_000_000
LOADING_SECONDS = 120
SETTLING_SECONDS = 6
SETTINGS = {"SARDONYX_MEMORY_BUDGET": "4GiB", "SARDONYX_LOG_LEVEL": "info"}


def main() -> int:
    argparse.ArgumentParser(prog="python -m bench.density", description=__doc__.splitlines()[0]).parse_args()
    models = [model for model in (*published_models(), *backend_models()) if model.name in NAMES]
    with tempfile.TemporaryDirectory(prefix="sardonyx-density-") as name:
        folder = Path(name)
        try:
            register_all(folder, models)
            one, many = (growth(folder, models, workers) for workers in (1, WORKERS))
            tiny_bytes, more_threads = tiny_growth(folder)
        except (ServerFailedError, first_run.RefusedError) as error:
            print(error, file=sys.stderr)
            return 1
    print(f"{', '.join(NAMES)}: one worker grows by {one / 1e6:.1f} MB, {WORKERS} by {many / 1e6:.1f} MB together")
    print(f"{many / one:.2f} times as much; at most {MOST_TIMES} is right")
    print(f"{TINY_COUNT} tiny models: {tiny_bytes / 1e6:.3f} MB each, {more_threads} threads more")
    return 0 if many <= MOST_TIMES * one and tiny_bytes <= MOST_TINY_BYTES and more_threads <= 0 else 1


def register_all(folder: Path, models: list[RealModel]) -> None:
    with running(start_gateway(folder, SETTINGS)) as server:
        for model in models:
            first_run.register(server.port, model.name, model.path, "for the density")
        wait_until_prepared(folder / LOG, len(models))
        for number in range(TINY_COUNT):
            first_run.register(server.port, f"tiny-{number}", TINY, "for the density")


def growth(folder: Path, models: list[RealModel], workers: int) -> float:
    """Return by how many bytes all workers together grow from the models."""
    with running(start_gateway(folder, {**SETTINGS, "SARDONYX_WORKERS": str(workers)})) as server:
        _wait_for(server, workers, loaded=0)
        before = _settled(server)
        deadline = time.monotonic() + LOADING_SECONDS
        while not _have(server, workers, loaded=len(models)):
            if time.monotonic() > deadline:
                raise ServerFailedError(f"not every worker has loaded the models in {LOADING_SECONDS} s")
            for model in models:
                _predict(server, model.name, model)
        for _ in range(8 * workers):  # until each has run them: which one answers is chance
            for model in models:
                _predict(server, model.name, model)
        return _settled(server).pss_bytes - before.pss_bytes


def tiny_growth(folder: Path) -> tuple[float, int]:
    """Return the bytes of one tiny model among many, and how many threads they take together."""
    flower = orjson.dumps({"inputs": [[5.1, 3.5, 1.4, 0.2]]})
    with running(start_gateway(folder, SETTINGS)) as server, ExitStack() as opened:
        connection = http.client.HTTPConnection(HOST, server.port, timeout=60)
        opened.callback(connection.close)
        for number in range(50):
            _post(connection, f"tiny-{number}", flower)
        before = _settled(server)
        for number in range(50, TINY_COUNT):
            _post(connection, f"tiny-{number}", flower)
        after = _settled(server)
    return (after.pss_bytes - before.pss_bytes) / (TINY_COUNT - 50), after.threads - before.threads


def _settled(server: Server) -> Taken:
    time.sleep(SETTLING_SECONDS)
    return taken_by(server.pid)


def _wait_for(server: Server, workers: int, *, loaded: int) -> None:
    deadline = time.monotonic() + LOADING_SECONDS
    while not _have(server, workers, loaded=loaded):
        if time.monotonic() > deadline:
            raise ServerFailedError("the workers did not report")
        time.sleep(0.2)


def _have(server: Server, workers: int, *, loaded: int) -> bool:
    """Return whether so many workers have each loaded so many models, by their own reports."""
    _, answer = first_run.ask(server.port, "GET", "/registry/workers")
    return [len(worker["resident"]) for worker in answer["items"]] == [loaded] * workers


def _predict(server: Server, name: str, model: RealModel) -> None:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=60)  # a new one may go to any worker
    try:
        feed = {key: array.tolist() for key, array in model.make_feed().items()}
        _post(connection, name, orjson.dumps({"inputs": feed}))
    finally:
        connection.close()


def _post(connection: http.client.HTTPConnection, name: str, body: bytes) -> None:
    connection.request("POST", f"/v1/models/{name}/predict", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise ServerFailedError(f"{name} answered {answer.status}: {content[:300]!r}")


if __name__ == "__main__":
    sys.exit(main())
