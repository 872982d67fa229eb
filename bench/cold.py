"""How long a cold model takes to its first answer: prepared, and as a plain session of the same file.

``python -m bench.cold``; each pair is measured in turns, in this process, on one core. Verifying the files is counted
for the prepared model as a worker counts it: their digests once a process, their sizes each time. Each begins with no
free memory at hand, as a program does that starts, and a worker that has given back what an evicted session took.
"""

import argparse
import gc
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import onnxruntime

from bench.servers import pinned
from gateway.host import return_free_memory
from gateway.serving.runtime import Cancellation, Session
from model_store.prepared_models import PreparedModels
from model_store.shared_folders import SharedFolders
from registry.inspection.host import host_key
from registry.inspection.sandbox import SandboxedInspector
from tests.support.inspecting import lay_out
from tests.support.real_models import RealModel, backend_models, published_models

NAMES = ("minilm-int8", "light-light-resnet50", "ocr-recogniser", "magika", "silero-vad")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (5)")
    rounds = parser.parse_args().rounds
    found = {model.name: model for model in (*published_models(), *backend_models()) if model.name in NAMES}
    print(f"{'':24}{'plain ms':>10}{'prepared ms':>13}{'ratio':>7}{'plain MB':>10}{'prepared MB':>13}")
    with pinned(min(os.sched_getaffinity(0))):
        for name in NAMES:
            print(f"{name:24}{_measure(found[name], rounds)}", flush=True)


def _measure(model: RealModel, rounds: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source")
        source.mkdir()
        artifact = lay_out(source, {"model.onnx": model.path.read_bytes()})
        inspector = SandboxedInspector()
        inspection = inspector.inspect(source, artifact)
        prepared = PreparedModels(SharedFolders(Path(folder, "cache"), 1 << 34), host_key())
        preparation = prepared.make(artifact, lambda into: inspector.prepare(source, artifact, inspection, into))
        if preparation is None or preparation.memory_bytes is None:
            return f"not prepared: {preparation}"
        names = [spec.name for spec in inspection.signature.outputs]
        feed = model.make_feed()

        def answer_plainly() -> object:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            session = onnxruntime.InferenceSession(str(source / "model.onnx"), options)
            return session, session.run(names, feed)

        def answer_prepared() -> object:
            with prepared.hold(artifact) as held:
                if held is None:
                    raise RuntimeError("the prepared model has gone")
                session = Session.load(held.path, prepared_bytes=held.memory_bytes)
            return session, session.run(names, feed, Cancellation())

        for answer in (answer_plainly, answer_prepared):
            answer()
        times = [(_seconds(answer_plainly), _seconds(answer_prepared)) for _ in range(rounds)]
        shutil.rmtree(source)
    plain, quick = (statistics.median(column) * 1000 for column in zip(*times, strict=True))
    memory = f"{inspection.memory_bytes / 1e6:>10.1f}{preparation.memory_bytes / 1e6:>13.1f}"
    return f"{plain:>10.1f}{quick:>13.1f}{quick / plain:>7.2f}{memory}"


def _seconds(answer: Callable[[], object]) -> float:
    gc.collect()
    return_free_memory()
    began = time.perf_counter()
    kept = answer()
    seconds = time.perf_counter() - began
    del kept  # dropping the session is not what the first answer waits for
    return seconds


if __name__ == "__main__":
    main()
