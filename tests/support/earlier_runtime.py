"""Versions that an earlier runtime has inspected, in the registry and the store of a data dir."""

import hashlib
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx

from gateway.parts import Parts
from registry.artifact import Digest, make_artifact
from registry.batching import Batching
from registry.lookup import resolve_version
from registry.records import Inspection, Version
from tests.support import models
from tests.support.inspecting import inspect_files

EARLIER = "onnxruntime 1.0.0 z80"


def found_earlier(source: onnx.ModelProto) -> Inspection:
    """Return what an earlier runtime has found in a model: the same as this one, under its own name."""
    with TemporaryDirectory() as folder:
        found = inspect_files(Path(folder), {"model.onnx": source.SerializeToString()})
    return replace(found, runtime=EARLIER, batch=None, threads=None)


def add_version(parts: Parts, model: str, source: onnx.ModelProto, inspection: Inspection) -> Version:
    """Register a model as an earlier release would have done with this inspection, as version 1 of a new name."""
    content = source.SerializeToString()
    digest = Digest(hashlib.sha256(content).hexdigest())
    artifact = make_artifact({"model.onnx": (digest, len(content))})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(content)
        parts.store.put(digest, path)
    at = parts.clock.now()
    with parts.registry.writing() as transaction:
        transaction.ensure_model(model, actor="ada", at=at)
        transaction.add_artifact(artifact, inspection, at=at)
        number = transaction.add_version(
            model, artifact, description="", tags={}, actor="ada", at=at, batching=Batching.EXACT
        )
        return resolve_version(transaction, model, number)


def linear_seen_earlier(parts: Parts, model: str = "linear") -> Version:
    """Register an honest model that an earlier runtime has inspected."""
    source = models.linear()
    return add_version(parts, model, source, found_earlier(source))
