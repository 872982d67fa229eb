"""A hostile file: how it is built, what may be answered to it, and what is asked of it once it is registered.

An outcome is a status and the code of its problem, such as ``422 invalid_model``; the status alone where all is well;
or ``reset``, for a connection that ends without an answer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from onnx import ModelProto

Body = dict[str, Any]
Source = Callable[[], ModelProto | bytes]

TAKEN: Final = ("201", "200")
ANSWERED: Final = ("200",)
FAILED: Final = ("422 model_execution_failed",)
INVALID: Final = ("422 invalid_model",)
COMPLEX: Final = ("422 too_complex",)
LATE: Final = ("504 predict_timeout",)
NO_MEMORY: Final = ("503 model_out_of_memory",)
KILLED: Final = ("reset", "503 model_crashed", "503 model_quarantined")
"""While it is in process the worker dies with it; then its own child does, and at some time nobody tries any more."""


@dataclass(frozen=True)
class Feed:
    """The body of a prediction, and its allowed outcomes."""

    body: Callable[[], Body]
    outcomes: tuple[str, ...]


@dataclass(frozen=True)
class FileCase:
    """A file, the allowed outcomes of registering it, and what is asked of it if it was taken."""

    name: str
    kind: str
    build: Callable[[], bytes]
    registers: tuple[str, ...]
    feeds: tuple[Feed, ...] = field(default=())


def refused(kind: str, name: str, source: Source, outcomes: tuple[str, ...] = INVALID) -> FileCase:
    """Return the case of a file that is not taken."""
    return FileCase(f"{kind}: {name}", kind, lambda: octets(source), outcomes)


def taken(kind: str, name: str, source: Source, *feeds: Feed) -> FileCase:
    """Return the case of a file that is taken, whatever its predictions come to."""
    return FileCase(f"{kind}: {name}", kind, lambda: octets(source), TAKEN, feeds)


def feed(inputs: object, *outcomes: str) -> Feed:
    """Return a prediction with these inputs."""
    return Feed(lambda: {"inputs": inputs}, outcomes)


def made(inputs: Callable[[], Mapping[str, Any]], *outcomes: str) -> Feed:
    """Return a prediction whose inputs are too many to be kept."""
    return Feed(lambda: {"inputs": dict(inputs())}, outcomes)


def octets(source: Source) -> bytes:
    """Return the bytes of a file."""
    built = source()
    return built if isinstance(built, bytes) else built.SerializeToString(deterministic=True)
