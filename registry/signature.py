"""What a version takes and gives, and how a request is held against it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from registry.errors import Difference, Violation
from registry.tensor import Dim, Shape, TensorSpec, format_shape

_SHOWN_CHARACTERS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Ordered input and output specs, as the ONNX graph states them."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

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
        for spec in self.inputs:
            if spec.name not in shapes:
                if not spec.optional:
                    found.append(_missing(spec, path))
                continue
            shape = shapes[spec.name]
            if shape is not None and spec.shape is not None:
                found.extend(_check_shape(spec, spec.shape, shape, sizes, path))
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


def _missing(spec: TensorSpec, path: str) -> Violation:
    return Violation(
        path=f"{path}/{pointer_token(spec.name)}", expected=str(spec), received="nothing", code="missing_input"
    )


def _check_shape(
    spec: TensorSpec, wanted: Shape, shape: tuple[int, ...], sizes: dict[str, tuple[int, str]], path: str
) -> list[Violation]:
    here = f"{path}/{pointer_token(spec.name)}"
    received = f"{spec.dtype.name}{format_shape(shape)}"
    if len(wanted) != len(shape):
        return [Violation(path=here, expected=str(spec), received=received, code="invalid_shape")]
    if any(isinstance(dim, int) and dim != size for dim, size in zip(wanted, shape, strict=True)):
        return [Violation(path=here, expected=str(spec), received=received, code="invalid_shape")]
    found = []
    for dim, size in zip(wanted, shape, strict=True):
        if isinstance(dim, str):
            seen, where = sizes.setdefault(dim, (size, spec.name))
            if seen != size:
                expected = f"{dim} = {seen}, as in {where}"
                found.append(
                    Violation(path=here, expected=expected, received=f"{dim} = {size}", code="inconsistent_dim")
                )
    return found


def shortened(name: str) -> str:
    """Return a caller's name as far as an answer repeats it: its first 256 characters."""
    return name if len(name) <= _SHOWN_CHARACTERS else name[:_SHOWN_CHARACTERS] + "..."


def pointer_token(name: str) -> str:
    """Escape a name for a JSON Pointer (RFC 6901 section 3)."""
    return name.replace("~", "~0").replace("/", "~1")


def breaking_differences(before: Signature, after: Signature) -> list[Difference]:
    """List what in ``after`` would break callers of ``before``.

    Breaking is: an input lost, an input added without a default, a default lost, an output lost, a dtype or rank
    changed, a size that an input took before and takes no more, an output of another fixed size.
    """
    found: list[Difference] = []
    old_inputs, new_inputs = _by_name(before.inputs), _by_name(after.inputs)
    for name, old in old_inputs.items():
        found.extend(_input_differences(name, old, new_inputs.get(name)))
    for name, new in new_inputs.items():
        if name not in old_inputs and not new.optional:
            found.append(Difference(path=f"inputs/{name}", before="absent", after=str(new)))
    new_outputs = _by_name(after.outputs)
    for name, old in _by_name(before.outputs).items():
        found.extend(_output_differences(name, old, new_outputs.get(name)))
    return found


def _by_name(specs: Iterable[TensorSpec]) -> dict[str, TensorSpec]:
    return {spec.name: spec for spec in specs}


def _input_differences(name: str, old: TensorSpec, new: TensorSpec | None) -> list[Difference]:
    if new is None:
        return [Difference(path=f"inputs/{name}", before=str(old), after="absent")]
    found = _dtype_and_rank(f"inputs/{name}", old, new)
    if old.optional and not new.optional:
        found.append(Difference(path=f"inputs/{name}/optional", before="true", after="false"))
    if not found and old.shape is not None and new.shape is not None:
        narrowed = any(isinstance(now, int) and now != was for was, now in zip(old.shape, new.shape, strict=True))
        if narrowed:
            found.append(_shapes(f"inputs/{name}", old, new))
    return found


def _output_differences(name: str, old: TensorSpec, new: TensorSpec | None) -> list[Difference]:
    if new is None:
        return [Difference(path=f"outputs/{name}", before=str(old), after="absent")]
    found = _dtype_and_rank(f"outputs/{name}", old, new)
    rank_kept = not found and old.shape is not None and new.shape is not None
    if rank_kept and any(map(_both_fixed_but_other, old.shape or (), new.shape or ())):
        found.append(_shapes(f"outputs/{name}", old, new))
    return found


def _dtype_and_rank(path: str, old: TensorSpec, new: TensorSpec) -> list[Difference]:
    found = []
    if old.dtype != new.dtype:
        found.append(Difference(path=f"{path}/dtype", before=old.dtype.name, after=new.dtype.name))
    rank_known = old.shape is not None and new.shape is not None
    if rank_known and len(old.shape or ()) != len(new.shape or ()):
        found.append(_shapes(path, old, new))
    if old.shape is None and new.shape is not None and path.startswith("inputs/"):
        found.append(_shapes(path, old, new))
    return found


def _shapes(path: str, old: TensorSpec, new: TensorSpec) -> Difference:
    return Difference(path=f"{path}/shape", before=format_shape(old.shape), after=format_shape(new.shape))


def _both_fixed_but_other(was: Dim, now: Dim) -> bool:
    return isinstance(was, int) and isinstance(now, int) and was != now
