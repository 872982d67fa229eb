"""Golden examples: inputs of a version with the outputs that it has to give, and how the two are held together.

1. An example belongs to a version and names some of its outputs, or all. Floats may differ within its own tolerance, or
   within that of their dtype (``same_answers``) where it has none; everything else has to be the same.
2. What is kept gives back the same bits. It is kept beside the version, and is not part of it: examples may be
   recorded long after the registration.
3. There are few of them, and they are small: whoever promotes waits for their runs.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from registry.errors import InvalidRequest, Violation
from registry.same_answers import TOLERANCES, Tolerance, compare_values
from registry.signature import pointer_token
from registry.tensor import DTYPES, format_shape, is_foreign, kind_of
from registry.values import Value, leaves

MAX_EXAMPLES: Final = 64
MAX_EXAMPLES_BYTES: Final = 4 * 1024 * 1024
"""Of all examples of a version together, as they are kept."""

MISMATCH: Final = "example_mismatch"
"""What the faults of examples are called."""

Arrays = Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One pair: what goes in, and what has to come out."""

    name: str
    inputs: Arrays
    """Checked against the signature; inputs that have a default may be absent."""
    outputs: Arrays
    """By name, at least one."""
    tolerance: Tolerance | None = None
    """None: that of each output's dtype."""

    def faults(self, answers: Arrays) -> list[Violation]:
        """Return what is wrong with the answers of a run, an output at a time; ``answers`` has all of ``outputs``."""
        found = (self._fault(name, expected, answers[name]) for name, expected in self.outputs.items())
        return [fault for fault in found if fault is not None]

    def failed(self, why: str) -> Violation:
        """Return the fault of a run that gave no answers."""
        return Violation(path=self.path, expected="an answer", received=why, code=MISMATCH)

    @property
    def path(self) -> str:
        """Where the example is said to be."""
        return f"/examples/{pointer_token(self.name)}"

    def _fault(self, name: str, expected: Value, answer: Value) -> Violation | None:
        match = compare_values(expected, answer, self.tolerance)
        if match.is_close:
            return None
        wanted, received = _spec(expected), _spec(answer)
        if wanted == received and isinstance(expected, np.ndarray) and kind_of(expected.dtype) == "f":
            absolute, relative = self.tolerance or TOLERANCES[expected.dtype.name]
            wanted = f"{wanted} within {absolute:g} + {relative:g} * |x|"
            received = f"a difference of {match.difference:g}"
        elif wanted == received:
            received = "other values"
        return Violation(
            path=f"{self.path}/outputs/{pointer_token(name)}", expected=wanted, received=received, code=MISMATCH
        )

    def as_json(self) -> dict[str, Any]:
        """Return the form that is kept; ``from_json(as_json(e))`` has the same bits."""
        return {
            "name": self.name,
            "inputs": {name: _as_json(value) for name, value in self.inputs.items()},
            "outputs": {name: _as_json(value) for name, value in self.outputs.items()},
            "tolerance": None if self.tolerance is None else list(self.tolerance),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Example":
        """Return the example that ``as_json`` describes."""
        return cls(
            name=value["name"],
            inputs={name: _from_json(inner) for name, inner in value["inputs"].items()},
            outputs={name: _from_json(inner) for name, inner in value["outputs"].items()},
            tolerance=None if value["tolerance"] is None else Tolerance(*value["tolerance"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleFacts:
    """What is known of a version's examples without reading them."""

    count: int
    digest: str
    """Of ``Examples.document``, in hexadecimal."""


@dataclass(frozen=True)
class Examples:
    """All examples of a version.

    Raises:
        InvalidRequest: two have one name, a name cannot be printed, one expects nothing, or they are too many
            or too large.
    """

    items: tuple[Example, ...]

    def __post_init__(self) -> None:
        names = [example.name for example in self.items]
        if len(names) > MAX_EXAMPLES:
            raise InvalidRequest(f"a version has at most {MAX_EXAMPLES} examples, not {len(names)}")
        if len(set(names)) < len(names):
            raise InvalidRequest("each example needs a name of its own")
        if any(not name.isprintable() for name in names):
            raise InvalidRequest("the name of an example has to be printable, on one line")
        if any(not example.outputs for example in self.items):
            raise InvalidRequest("each example has to expect something: give at least one output")
        arrays = (
            array
            for example in self.items
            for kind in (example.inputs, example.outputs)
            for value in kind.values()
            for array in leaves(value)
        )
        if sum(array.nbytes for array in arrays) > MAX_EXAMPLES_BYTES or len(self.document) > MAX_EXAMPLES_BYTES:
            raise InvalidRequest(f"the examples of a version take at most {MAX_EXAMPLES_BYTES} bytes")

    @cached_property
    def document(self) -> str:
        """The text that is kept."""
        return json.dumps([example.as_json() for example in self.items], separators=(",", ":"))

    @property
    def facts(self) -> ExampleFacts | None:
        """What goes with the version; None if there are no examples."""
        if not self.items:
            return None
        return ExampleFacts(count=len(self.items), digest=hashlib.sha256(self.document.encode()).hexdigest())

    @classmethod
    def read(cls, document: str) -> "Examples":
        """Return what ``document`` was written from."""
        return cls(tuple(Example.from_json(value) for value in json.loads(document)))


def check_all(examples: Sequence[Example], answer: Any) -> list[Violation]:
    """Run examples and return everything that is wrong.

    Args:
        examples: which.
        answer: gets an example and returns its outputs by name; raises whatever it likes if there are none.
    """
    found: list[Violation] = []
    for example in examples:
        try:
            answers = answer(example)
        except Exception as error:  # noqa: BLE001 - runtimes have many classes of errors, their own and Python's
            found.append(example.failed(f"a run that failed ({type(error).__name__})"))
        else:
            found.extend(example.faults(answers))
    return found


def _spec(value: Value) -> str:
    if isinstance(value, np.ndarray):
        name = "string" if value.dtype.kind == "O" else value.dtype.name
        return f"{name}{format_shape(value.shape)}"
    if value is None:
        return "nothing"
    return f"{'a map' if isinstance(value, dict) else 'a sequence'} of {len(value)}"


def _as_json(value: Value) -> dict[str, Any]:
    if isinstance(value, np.ndarray):
        return _array_as_json(value)
    if isinstance(value, list):
        return {"sequence": list(map(_as_json, value))}
    if isinstance(value, dict):
        return {"map": [[key, _as_json(inner)] for key, inner in value.items()]}
    return {"absent": True}


def _from_json(value: Mapping[str, Any]) -> Value:
    if "sequence" in value:
        return list(map(_from_json, value["sequence"]))
    if "map" in value:
        return {key: _from_json(inner) for key, inner in value["map"]}
    return None if "absent" in value else _array_from_json(value)


def _array_as_json(array: NDArray[Any]) -> dict[str, Any]:
    shape = list(array.shape)
    if array.dtype.kind == "O":
        return {"dtype": "string", "shape": shape, "data": array.ravel().tolist()}
    octets = np.ascontiguousarray(array, dtype=_little_endian(array.dtype)).tobytes()
    return {"dtype": array.dtype.name, "shape": shape, "data": base64.b64encode(octets).decode("ascii")}


def _array_from_json(value: Mapping[str, Any]) -> NDArray[Any]:
    dtype = DTYPES[value["dtype"]].numpy
    if dtype.kind == "O":
        array = np.empty(len(value["data"]), dtype)
        array[:] = value["data"]
        return array.reshape(value["shape"])
    octets = base64.b64decode(value["data"])
    if is_foreign(dtype):
        return np.frombuffer(octets, np.uint8).view(dtype).reshape(value["shape"]).copy()
    return np.frombuffer(octets, _little_endian(dtype)).astype(dtype).reshape(value["shape"])


def _little_endian(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype if is_foreign(dtype) else dtype.newbyteorder("<")
