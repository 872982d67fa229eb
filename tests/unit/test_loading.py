"""How a worker makes sessions of a real model: with the threads that it may have, and the bits of a plain session."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from gateway.documents import DocumentFolder
from gateway.loading import Loader
from gateway.parts import Parts, open_parts
from gateway.serving.load_places import LoadPlaces
from gateway.serving.preparing import Preparing
from gateway.serving.proving import Proving
from gateway.serving.runtime import Cancellation, Session
from gateway.serving.spare_threads import SpareThreads
from gateway.serving.store_watch import StoreWatch
from gateway.settings import Settings
from registry.records import Version
from registry.storage import PREPARED_GRAPH, Preparation
from tests.support import models
from tests.support.inspecting import lay_out
from tests.support.serving_models import make_version, threads_on, with_threads
from tests.support.virtual_time import SteppedExecutor

TRIED = ((1, 3, 112, 112),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """What loads in a worker with two CPUs, on the host ``here``."""

    parts: Parts
    loader: Loader
    spare: SpareThreads
    widening: SteppedExecutor
    version: Version
    path: Path

    def load(self) -> Session:
        """Load the version, and give it the threads that it may have."""
        session = self.loader.load(self.version)
        while self.widening.pending:
            self.widening.pending.popleft()()
        return session


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """One whose store has a model that is known to be twice as fast with two threads."""
    artifact = lay_out(tmp_path, {"model.onnx": models.deep_conv().SerializeToString()})
    path = tmp_path / "model.onnx"
    version = with_threads(replace(make_version(), artifact=artifact), threads_on(shapes=(TRIED,)))
    parts = open_parts(Settings(data_dir=tmp_path / "data"))
    parts.store.put(artifact.digest, path)
    with ExitStack() as opened:
        executor = opened.enter_context(ThreadPoolExecutor(1))
        opened.callback(parts.close)
        proving = Proving("here", DocumentFolder(tmp_path), parts.inspect_again, lambda _: None, None)
        spare = SpareThreads(host="here", cpus=2, budget_bytes=1 << 30, find_report=proving.find_threads)
        loader = Loader(
            parts,
            StoreWatch(lambda: None, executor=executor),
            preparing=Preparing(parts.prepare, lambda _: None, None),
            proving=proving,
            places=LoadPlaces([parts.prepared, parts.folders], parts.folders, near=executor, far=executor),
            spare=spare,
            widening=(widening := SteppedExecutor()),
        )
        yield Worker(parts=parts, loader=loader, spare=spare, widening=widening, version=version, path=path)


def answers(session: Session, rows: int) -> bytes:
    feed = {"x": np.random.default_rng(rows).normal(size=(rows, *TRIED[0][1:])).astype(np.float32)}
    (answer,) = session.run(("y",), feed, Cancellation())
    return bytes(answer.tobytes())


def test_a_prepared_model_has_the_threads_that_pay_and_the_bits_of_a_plain_session(worker: Worker) -> None:
    worker.parts.prepare(worker.version)
    session = worker.load()
    assert (session.threads, worker.spare.lent_count) == (2, 1)
    assert session.memory_bytes == 2 * (worker.parts.prepared.memory_bytes(worker.version.artifact) or 0)
    plain = Session.load(worker.path)
    assert [answers(session, rows) for rows in (1, 2)] == [answers(plain, rows) for rows in (1, 2)]
    session.close()
    assert worker.spare.lent_count == 0


def test_a_first_answer_does_not_wait_for_threads_and_they_count_already(worker: Worker) -> None:
    worker.parts.prepare(worker.version)
    session = worker.loader.load(worker.version)
    first = answers(session, 1)
    assert (session.threads, worker.spare.lent_count, len(worker.widening.pending)) == (1, 1, 1)
    assert session.memory_bytes == 2 * (worker.parts.prepared.memory_bytes(worker.version.artifact) or 0)
    worker.widening.pending.popleft()()
    assert (session.threads, answers(session, 1)) == (2, first)


def test_a_session_that_goes_before_it_has_its_threads_gives_them_back(worker: Worker) -> None:
    worker.parts.prepare(worker.version)
    session = worker.loader.load(worker.version)
    session.close()
    worker.widening.pending.popleft()()
    assert (session.threads, worker.spare.lent_count) == (1, 0)


def test_a_session_whose_prepared_form_is_gone_before_it_has_threads_goes_on_with_one(worker: Worker) -> None:
    worker.parts.prepare(worker.version)
    session = worker.loader.load(worker.version)
    first = answers(session, 1)
    shutil.rmtree(worker.parts.settings.data_dir / "cache")
    worker.widening.pending.popleft()()
    assert (session.threads, answers(session, 1), worker.spare.lent_count) == (1, first, 0)
    session.close()
    assert worker.spare.lent_count == 0


def test_what_is_not_prepared_yet_has_one_thread(worker: Worker) -> None:
    session = worker.loader.load(worker.version)
    assert (session.threads, session.memory_bytes, worker.spare.lent_count) == (1, None, 0)


def test_the_threads_of_a_worker_do_not_grow_with_its_sessions(worker: Worker) -> None:
    worker.parts.prepare(worker.version)
    sessions = [worker.load() for _ in range(6)]
    assert ([session.threads for session in sessions], worker.spare.lent_count) == ([2, 2, 2, 2, 1, 1], 4)
    sessions[0].close()
    assert worker.load().threads == 2


def test_a_version_without_a_report_of_this_host_has_one_thread(worker: Worker) -> None:
    worker.parts.prepare(worker.version)
    elsewhere = with_threads(worker.version, threads_on(host="elsewhere", shapes=(TRIED,)))
    assert (worker.loader.load(elsewhere).threads, worker.spare.lent_count) == (1, 0)


def prepare_nonsense(into: Path) -> Preparation:
    (into / PREPARED_GRAPH).write_bytes(b"no model at all")
    return Preparation(memory_bytes=1)


def test_a_prepared_form_that_does_not_load_gives_its_threads_back_and_is_loaded_plainly(worker: Worker) -> None:
    worker.parts.prepared.make(worker.version.artifact, prepare_nonsense)
    assert (worker.loader.load(worker.version).threads, worker.spare.lent_count) == (1, 0)
