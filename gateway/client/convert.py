"""Whatever a data scientist has, as the files that a gateway takes.

1. A path is sent as it is, with the external data files that its graph names; bytes and ``ModelProto`` are one file.
2. A scikit-learn, xgboost or lightgbm model or a torch module is converted by its own converter, with the example as
   the pattern, and brings along what it says itself about the example, so that the graph can be held against it.
3. Nothing is imported to find out what an object is: its classes' names tell.
"""

import hashlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from gateway.client.comparison import Original
from gateway.client.errors import UnusableArgument
from gateway.client.external_data import external_file_names

GRAPH_SUFFIX = ".onnx"
TREE_LIBRARIES = frozenset({"xgboost", "lightgbm"})
CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadFile:
    """One file to send: the name that the graph knows it by, and where to read it."""

    name: str
    stream: BinaryIO = field(repr=False)
    size_bytes: int
    sha256_hex: str

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes from the beginning."""
        self.stream.seek(0)
        while chunk := self.stream.read(CHUNK_BYTES):
            yield chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Everything that is sent for one version; the graph comes first."""

    files: Sequence[UploadFile]
    original: Original | None = None

    @property
    def size_bytes(self) -> int:
        """The bytes of all files together."""
        return sum(file.size_bytes for file in self.files)

    def close(self) -> None:
        """Close the files."""
        for file in self.files:
            file.stream.close()


def prepare(model: Any, *, example: Any = None) -> Submission:
    """Open or convert a model so that it can be sent; the caller closes the submission.

    Args:
        model: a path or several, the bytes of an ``.onnx`` file, an ``onnx.ModelProto``, a fitted scikit-learn, xgboost
            or lightgbm model or a torch module.
        example: what the model would be called with; needed for what is converted.

    Raises:
        UnusableArgument: it is none of these, or the converter is not installed, or the example is missing.
        OSError: a file cannot be read.
    """
    if isinstance(model, str | os.PathLike):
        return _from_paths([Path(model)])
    if isinstance(model, list | tuple):
        return _from_paths([Path(path) for path in model])
    if isinstance(model, bytes | bytearray | memoryview):
        return Submission(files=[_in_memory(bytes(model))])
    return _from_object(model, example)


def _from_object(model: Any, example: Any) -> Submission:
    ancestors = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(model).__mro__}
    if {name.partition(".")[0] for name in ancestors} & TREE_LIBRARIES:  # before their ancestors out of scikit-learn
        from gateway.client.convert_trees import convert_trees

        graph, original = convert_trees(model, _needed(example, "X_train[:10]"))
        return Submission(files=[_in_memory(graph)], original=original)
    if "sklearn.base.BaseEstimator" in ancestors:
        from gateway.client.convert_sklearn import convert_estimator

        graph, original = convert_estimator(model, _needed(example, "X_train[:10]"))
        return Submission(files=[_in_memory(graph)], original=original)
    if "torch.nn.modules.module.Module" in ancestors:
        from gateway.client.convert_torch import convert_module

        contents, original = convert_module(model, _needed(example, "torch.randn(2, 3, 224, 224)"))
        return Submission(files=_ordered(contents), original=original)
    if type(model).__name__ == "ModelProto" and hasattr(model, "SerializeToString"):
        return Submission(files=[_in_memory(model.SerializeToString())])
    raise UnusableArgument(
        f"a {type(model).__name__} cannot be registered: give a path, bytes, an onnx.ModelProto, "
        "a fitted scikit-learn, xgboost or lightgbm model or a torch module"
    )


def _needed(example: Any, such_as: str) -> Any:
    if example is None:
        raise UnusableArgument(f"an example is needed to convert the model: register(..., example={such_as})")
    return example


def _from_paths(paths: Sequence[Path]) -> Submission:
    graphs = [path for path in paths if path.suffix == GRAPH_SUFFIX]
    if len(graphs) != 1:
        raise UnusableArgument(f"one {GRAPH_SUFFIX} file makes a version, and {len(graphs)} were given")
    by_name = {path.name: path for path in paths}
    if len(by_name) != len(paths):
        raise UnusableArgument("two of the files have the same name; the graph could not tell them apart")
    for name in external_file_names(graphs[0]):
        beside = by_name.setdefault(name, graphs[0].with_name(name))
        if not beside.is_file():
            raise UnusableArgument(f"{graphs[0]} keeps weights in {name}, which is not beside it: give its path too")
    files: list[UploadFile] = []
    try:
        for name in sorted(by_name, key=lambda name: (name != graphs[0].name, name)):
            files.append(_measured(name, by_name[name].open("rb")))  # noqa: PERF401 - what is open is closed below
    except BaseException:
        Submission(files=files).close()
        raise
    return Submission(files=files)


def _ordered(contents: Mapping[str, bytes]) -> list[UploadFile]:
    names = sorted(contents, key=lambda name: (not name.endswith(GRAPH_SUFFIX), name))
    return [_measured(name, io.BytesIO(contents[name])) for name in names]


def _in_memory(graph: bytes) -> UploadFile:
    return _measured("model" + GRAPH_SUFFIX, io.BytesIO(graph))


def _measured(name: str, stream: BinaryIO) -> UploadFile:
    """Hash a file while measuring it: the digest that is announced is of the bytes that were seen."""
    digest, size_bytes = hashlib.sha256(), 0
    while chunk := stream.read(CHUNK_BYTES):
        digest.update(chunk)
        size_bytes += len(chunk)
    return UploadFile(name=name, stream=stream, size_bytes=size_bytes, sha256_hex=digest.hexdigest())
