"""Preparing that is cut short: nothing half made is found by anybody, and the next attempt has nothing in its way."""

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import RawIOBase
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from model_store.prepared_models import PreparedModels
from model_store.shared_folders import SharedFolders
from registry.artifact import Artifact
from registry.inspection.sandbox import SandboxedInspector
from registry.records import Inspection
from registry.storage import PREPARED_WEIGHTS, Preparation
from tests.support import models
from tests.support.gateway_process import children_of
from tests.support.inspecting import lay_out

_SPAWN = get_context("spawn")


@dataclass(frozen=True)
class Bench:
    """A model that is to be prepared, and the cache of a host."""

    folder: Path
    artifact: Artifact
    inspection: Inspection

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def folders(self) -> SharedFolders:
        return SharedFolders(self.cache, 1 << 30)

    def make(self, *, begun: Connection | None = None) -> Preparation | None:
        """Prepare as a worker that has just started; ``begun`` is told of the folder, where nothing is written now."""

        def prepare(into: Path) -> Preparation:
            if begun is not None:
                os.mkfifo(into / PREPARED_WEIGHTS)  # whoever writes here waits for a reader
                begun.send(into)
            return SandboxedInspector().prepare(self.folder / "source", self.artifact, self.inspection, into)

        return PreparedModels(self.folders(), "here").make(self.artifact, prepare)

    def is_found(self) -> bool:
        with PreparedModels(self.folders(), "here").hold(self.artifact) as model:
            return model is not None

    def left(self) -> list[str]:
        """Return what lies in the cache, but for locks."""
        paths = (path.relative_to(self.cache) for path in self.cache.rglob("*"))
        return sorted(str(path) for path in paths if path.parts[0] != ".locks" and str(path) != ".tmp")


def work(bench: Bench, pipe: Connection) -> None:
    pipe.send(bench.make(begun=pipe))


def work_where_files_stay_small(bench: Bench, pipe: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    pipe.send(bench.make())


@contextmanager
def worker(target: Any, bench: Bench) -> Iterator[tuple[BaseProcess, Connection]]:
    """Have a process of its own work, which tells of it."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=target, args=(bench, theirs))
    process.start()
    theirs.close()
    try:
        yield process, ours
    finally:
        process.kill()
        process.join()


@contextmanager
def half_written(pipe: Connection) -> Iterator[RawIOBase]:
    """Give the weights' reading end; the child is in the middle of writing them."""
    with (pipe.recv() / PREPARED_WEIGHTS).open("rb", buffering=0) as weights:
        assert weights.read(1)
        yield weights


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    source = tmp_path / "source"
    source.mkdir()
    artifact = lay_out(source, {"model.onnx": models.wide_linear(512, 2).SerializeToString()})
    return Bench(tmp_path, artifact, SandboxedInspector().inspect(source, artifact))


def test_a_disk_that_is_full_leaves_nothing_behind_and_the_reason(bench: Bench) -> None:
    with worker(work_where_files_stay_small, bench) as (_, pipe):
        preparation = pipe.recv()
    assert (preparation.memory_bytes, preparation.is_final) == (None, False)
    assert preparation.reason.startswith("it cannot be prepared: ")
    assert "Failed to write" in preparation.reason
    assert str(bench.folder) not in preparation.reason
    assert (bench.left(), bench.is_found()) == ([], False)
    again = bench.make()
    assert (again is not None and again.reason, bench.is_found()) == ("", True)


def test_a_child_that_is_killed_while_it_writes_leaves_nothing_behind(bench: Bench) -> None:
    with worker(work, bench) as (process, pipe), half_written(pipe):
        (child,) = children_of(process.pid or 0, "registry.inspection")
        os.kill(child, signal.SIGKILL)
        preparation = pipe.recv()
    assert (preparation.memory_bytes, preparation.is_final) == (None, False)
    assert (bench.left(), bench.is_found()) == ([], False)
    again = bench.make()
    assert (again is not None and again.reason, bench.is_found()) == ("", True)


def test_a_worker_that_is_killed_takes_its_child_along_and_the_next_one_clears_up(bench: Bench) -> None:
    with worker(work, bench) as (process, pipe), half_written(pipe) as weights:
        process.kill()
        process.join()
        rest = weights.read()  # ends with the last who could write
        assert (len(rest) < bench.artifact.size_bytes, bench.left() != [], bench.is_found()) == (True, True, False)
    bench.folders().check()
    assert (bench.left(), bench.is_found()) == ([], False)
    again = bench.make()
    assert (again is not None and again.reason, bench.is_found()) == ("", True)
