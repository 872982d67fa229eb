"""A Triton model repository: a folder for each model, with ``config.pbtxt`` and a folder for each version.

1. What Triton would serve with ONNX Runtime is found; a model of another backend is named and left out. A model without
   a configuration is one of ONNX if it has the file that such a model has.
2. A version's folder has a number without leading zeros; others are passed over, as Triton does. Its graph is
   ``model.onnx``, or what ``default_model_filename`` says: a file, or a folder with the file of that name and its
   weights.
3. Of the configuration ``max_batch_size``, ``version_policy`` and the labels of outputs have a meaning here. Everything
   else that is set is named, so that nobody believes it is kept.

Source: Triton Inference Server, User Guide, Model Repository and Model Configuration.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.cli.imports import (
    MAX_MODELS,
    Candidate,
    OtherKind,
    Unreadable,
    files_of,
    inside,
    is_plain_name,
    model_name,
    tidy_tags,
)
from gateway.cli.text_format import MAX_TEXT_BYTES, Message, NotTextFormat, read_text_format

CONFIG: Final = "config.pbtxt"
_GRAPH: Final = "model.onnx"
_MAX_VERSIONS: Final = 1000
_MAX_LABELS_BYTES: Final = 256 * 1024
_LABELS_SHOWN: Final = 1000
_NUMBER = re.compile("[1-9][0-9]{0,17}")
_ONNX: Final = frozenset({"", "onnxruntime", "onnxruntime_onnx"})
_UNDERSTOOD: Final = frozenset(
    {
        *("name", "platform", "backend", "max_batch_size", "version_policy"),
        *("default_model_filename", "input", "output"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TritonModel:
    """One model of a repository."""

    folder: str
    """Its folder's name, which is what Triton calls it."""
    name: str
    """What it is called here."""
    candidates: Mapping[int, Candidate] = field(default_factory=dict)
    """By Triton's number, ascending."""
    served: frozenset[int] = frozenset()
    """Which of them Triton would serve."""
    ignored: tuple[str, ...] = ()
    """What the configuration says that has no meaning here."""
    fault: Exception | None = None
    """Why nothing of it can be brought in."""


def read_repository(root: Path) -> list[TritonModel]:
    """Return the models of a repository, by name.

    Raises:
        OSError: the folder cannot be read.
        Unreadable: it holds more models than anybody has.
    """
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(folders) > MAX_MODELS:
        raise Unreadable(f"{root} holds more than {MAX_MODELS} folders")
    return [_read_model(folder, root) for folder in folders]


def _read_model(folder: Path, root: Path) -> TritonModel:
    name = folder.name
    try:
        name = model_name(folder.name)
        inside(folder, root)
        config = _read_config(folder, root)
        kind = _word(config, "backend") or _word(config, "platform")
        if kind not in _ONNX:
            raise OtherKind(f"it is not for ONNX Runtime, but {kind[:40]!r}")
        candidates = {number: _candidate(folder, root, number, config) for number in _numbers(folder)}
        if not candidates:
            raise OtherKind("it has no version: a folder with a number")
    except (Unreadable, OSError) as error:
        return TritonModel(folder=folder.name, name=name, fault=error)
    return TritonModel(
        folder=folder.name,
        name=name,
        candidates=candidates,
        served=frozenset(_served(config, sorted(candidates))),
        ignored=tuple(sorted(_ignored(config))),
    )


def _read_config(folder: Path, root: Path) -> Message:
    path = folder / CONFIG
    if not os.path.lexists(path):  # a link that leads nowhere is there, and is a fault
        return {}
    try:
        return read_text_format(_read_text(inside(path, root), MAX_TEXT_BYTES))
    except NotTextFormat as error:
        raise Unreadable(f"{CONFIG}: {error}") from None


def _read_text(path: Path, limit_bytes: int) -> str:
    if not path.is_file():
        raise Unreadable(f"{path.name} is no file")
    with path.open("rb") as file:
        octets = file.read(limit_bytes + 1)
    if len(octets) > limit_bytes:
        raise Unreadable(f"{path.name} is longer than {limit_bytes} bytes")
    return octets.decode("utf-8", "replace")


def _numbers(folder: Path) -> list[int]:
    numbers = sorted(int(path.name) for path in folder.iterdir() if _NUMBER.fullmatch(path.name) and path.is_dir())
    if len(numbers) > _MAX_VERSIONS:
        raise Unreadable(f"it has more than {_MAX_VERSIONS} versions")
    return numbers


def _candidate(folder: Path, root: Path, number: int, config: Message) -> Candidate:
    graph = _find_graph(folder / str(number), _word(config, "default_model_filename") or _GRAPH)
    tags = {"triton.model": folder.name, "triton.version": str(number)}
    if _word(config, "max_batch_size"):
        tags["triton.max_batch_size"] = _word(config, "max_batch_size")
    return Candidate(
        source=f"{folder.name}/{number}",
        name=model_name(folder.name),
        files=files_of(graph, root),
        description=f"version {number} of {folder.name} in a Triton model repository",
        tags=tidy_tags(tags | dict(_labels(folder, root, config))),
    )


def _find_graph(folder: Path, file_name: str) -> Path:
    if not is_plain_name(file_name):
        raise Unreadable(f"default_model_filename is no file's name: {file_name[:60]!r}")
    graph = folder / file_name
    graph = graph / file_name if graph.is_dir() else graph
    if not graph.is_file():
        raise Unreadable(f"version {folder.name} has no {file_name}")
    return graph


def _labels(folder: Path, root: Path, config: Message) -> Iterator[tuple[str, str]]:
    """Yield a tag for each output that has labels: the labels themselves, or their file's name where they are many."""
    for output in _messages(config, "output"):
        file_name = _word(output, "label_filename")
        if not file_name:
            continue
        if not is_plain_name(file_name):
            raise Unreadable(f"label_filename is no file's name: {file_name[:60]!r}")
        path = folder / file_name
        labels = _read_text(inside(path, root), _MAX_LABELS_BYTES).split("\n") if os.path.lexists(path) else []
        text = ",".join(label.strip() for label in labels if label.strip())
        yield f"triton.labels.{_word(output, 'name')}", text if 0 < len(text) <= _LABELS_SHOWN else file_name


def _served(config: Message, numbers: list[int]) -> list[int]:
    """Return the versions that Triton would serve; by default the newest."""
    policy = next(_messages(config, "version_policy"), {})
    if "all" in policy:
        return numbers
    for specific in _messages(policy, "specific"):
        wanted = {version for version in specific.get("versions", []) if isinstance(version, str)}
        return [number for number in numbers if str(number) in wanted]
    latest = next(_messages(policy, "latest"), {})
    count = _word(latest, "num_versions")
    return numbers[-int(count) :] if _NUMBER.fullmatch(count) else numbers[-1:]


def _ignored(config: Message) -> Iterator[str]:
    yield from (name for name in config if name not in _UNDERSTOOD)
    for kind in ("input", "output"):
        known = {"name", "data_type", "dims", "label_filename"}
        yield from {f"{kind}.{name}" for tensor in _messages(config, kind) for name in tensor if name not in known}


def _word(message: Message, name: str) -> str:
    """Return the last value of a field, as text format has it; empty where there is none."""
    words = [value for value in message.get(name, []) if isinstance(value, str)]
    return words[-1] if words else ""


def _messages(message: Message, name: str) -> Iterator[Message]:
    return (value for value in message.get(name, []) if not isinstance(value, str))
