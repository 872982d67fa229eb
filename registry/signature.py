"""What a version takes and gives, and how a request is held against it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from registry.errors import Violation
from registry.tensor import Shape, TensorSpec, format_shape

_SHOWN_CHARACTERS = 256

_MOST_EMPTY_ROWS = 65_536
_MOST_EMPTY = 1_048_576
"""The product of the free sizes beside a zero: of those before it, and of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Ordered input and output specs, as the ONNX graph states them."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def is_plain(self) -> bool:
        """True if all values are tensors of types that numpy itself has: the quick ways are for those."""
        return all(spec.is_tensor and not spec.dtype.is_foreign for spec in (*self.inputs, *self.outputs))

    def as_json(self) -> dict[str, Any]:
        """Return the wire's form; ``from_json(as_json(s)) == s``."""
        return {
            "inputs": [{**spec.as_json(), "optional": spec.optional} for spec in self.inputs],
            "outputs": [spec.as_json() for spec in self.outputs],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Signature":
        """Return the signature that ``as_json`` describes."""
        return cls(
            inputs=tuple(TensorSpec.from_json(spec) for spec in value["inputs"]),
            outputs=tuple(TensorSpec.from_json(spec) for spec in value["outputs"]),
        )

    def check(self, shapes: Mapping[str, tuple[int, ...] | None], *, path: str = "/inputs") -> list[Violation]:
        """List every way in which these inputs do not fit: names, ranks, fixed sizes, symbols.

        Args:
            shapes: the shape of each tensor that came, None for one that came but could not be decoded.
            path: JSON Pointer of the object that holds the tensors.

        Returns:
            Violations in the order of the signature, unknown names last; empty if all fits.
        """
        found: list[Violation] = []
        sizes: dict[str, tuple[int, str]] = {}
        came = 0
        for spec in self.inputs:
            if spec.name not in shapes:
                if not spec.may_be_absent:
                    found.append(_missing(spec, path))
                continue
            came += 1
            shape = shapes[spec.name]
            if shape is not None and spec.shape is not None:
                found.extend(_check_shape(spec, spec.shape, shape, sizes, path))
            if shape is not None:
                found.extend(check_emptiness(spec, shape, f"{path}/{pointer_token(spec.name)}"))
        if len(shapes) > came:
            known = {spec.name for spec in self.inputs}
            found.extend(self._unknown(name, path) for name in shapes if name not in known)
        return found

    def check_outputs(self, names: Iterable[str], *, path: str = "/outputs") -> list[Violation]:
        """List the requested outputs that the model does not have."""
        known = {spec.name for spec in self.outputs}
        return [
            Violation(
                path=f"{path}/{index}",
                expected="one of " + ", ".join(sorted(known)),
                received=shortened(name),
                code="unknown_output",
            )
            for index, name in enumerate(names)
            if name not in known
        ]

    def _unknown(self, name: str, path: str) -> Violation:
        return Violation(
            path=f"{path}/{pointer_token(shortened(name))}",
            expected="one of " + ", ".join(spec.name for spec in self.inputs) if self.inputs else "no inputs",
            received=shortened(name),
            code="unknown_input",
        )


def check_emptiness(spec: TensorSpec, shape: tuple[int, ...], path: str) -> list[Violation]:
    """List what is wrong with a tensor of no elements: no body has to be long for its free sizes to be absurd.

    What a model makes of such a size may be as many elements, and an answer in JSON has a bracket for each.
    """
    if 0 not in shape:
        return []
    wanted = spec.shape if spec.shape is not None and len(spec.shape) == len(shape) else (None,) * len(shape)
    free = [1 if isinstance(dim, int) else size for dim, size in zip(wanted, shape, strict=True)]
    if prod(free[: shape.index(0)]) <= _MOST_EMPTY_ROWS and prod(filter(None, free)) <= _MOST_EMPTY:
        return []
    received = f"{spec.dtype.name}{format_shape(shape)}"
    expected = f"sizes of which those before a zero make at most {_MOST_EMPTY_ROWS}, and all others {_MOST_EMPTY}"
    return [Violation(path=path, expected=expected, received=received, code="invalid_shape")]


def _missing(spec: TensorSpec, path: str) -> Violation:
    return Violation(
        path=f"{path}/{pointer_token(spec.name)}", expected=str(spec), received="nothing", code="missing_input"
    )


def _check_shape(
    spec: TensorSpec, wanted: Shape, shape: tuple[int, ...], sizes: dict[str, tuple[int, str]], path: str
) -> list[Violation]:
    """List what is wrong with one shape; every request comes by here, so words are made only where something is."""
    if not _has_fixed_sizes(wanted, shape):
        here = f"{path}/{pointer_token(spec.name)}"
        received = f"{spec.dtype.name}{format_shape(shape)}"
        return [Violation(path=here, expected=str(spec), received=received, code="invalid_shape")]
    found = []
    for dim, size in zip(wanted, shape, strict=True):
        if isinstance(dim, str):
            seen, where = sizes.setdefault(dim, (size, spec.name))
            if seen != size:
                here = f"{path}/{pointer_token(spec.name)}"
                expected = f"{dim} = {seen}, as in {where}"
                found.append(
                    Violation(path=here, expected=expected, received=f"{dim} = {size}", code="inconsistent_dim")
                )
    return found


def _has_fixed_sizes(wanted: Shape, shape: tuple[int, ...]) -> bool:
    if len(wanted) != len(shape):
        return False
    for dim, size in zip(wanted, shape, strict=True):  # noqa: SIM110 - a generator costs more than the few comparisons
        if dim != size and isinstance(dim, int):
            return False
    return True


def shortened(name: str) -> str:
    """Return a caller's name as far as an answer repeats it: its first 256 characters."""
    return name if len(name) <= _SHOWN_CHARACTERS else name[:_SHOWN_CHARACTERS] + "..."


def pointer_token(name: str) -> str:
    """Escape a name for a JSON Pointer (RFC 6901 section 3)."""
    return name.replace("~", "~0").replace("/", "~1")
