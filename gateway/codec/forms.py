"""Where the tensors of a body are: named inputs, the only input itself, or rows.

1. ``inputs`` is an object of tensors by name. Where the model has one input it may also be that tensor: a list, a
   scalar where the signature allows one, or shape and data (unless the input is itself called ``shape`` or ``data``).
2. What is no tensor is given by name, or alone where it is a list (``gateway.codec.containers``).
3. ``instances`` is a list of rows, to be stacked along a new first axis: a row is the tensor's row where the model has
   one input, and an object of such rows by name where it has several.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.codec.containers import Wrapped, refuse_too_many, unwrap
from gateway.codec.elements import describe
from gateway.codec.limits import MAX_NAMED
from gateway.codec.nesting import Leaves, from_lists, indexed, take_apart
from registry.errors import Violation
from registry.signature import Signature, pointer_token, shortened
from registry.tensor import TensorSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The tensors that a body brings, and what is wrong with the way it brings them."""

    tensors: tuple[Leaves, ...] = ()
    """In the order of the signature."""
    wrapped: tuple[Wrapped, ...] = ()
    """What is no tensor, in that order too."""
    unknown: tuple[str, ...] = ()
    """Names that the signature does not have, as far as an answer repeats them."""
    pointers: Mapping[str, str] = field(default_factory=dict)
    """Where the tensors stand that do not stand under ``base``, by name."""
    base: str = "/inputs"
    faults: tuple[Violation, ...] = ()
    """If there are any, no tensor could be found."""

    def pointer_of(self, name: str) -> str:
        """Return the JSON Pointer of the tensor of that name, or of where it is missing."""
        return self.pointers.get(name, f"{self.base}/{pointer_token(name)}")


def find_inputs(signature: Signature, document: Mapping[str, object]) -> Inputs:
    """Find the tensors of a body and take them apart.

    Raises:
        TooManyElements: there are too many of them in sequences and maps.
    """
    if ("inputs" in document) == ("instances" in document):
        received = "both" if "inputs" in document else "neither"
        fault = Violation(path="", expected="either inputs or instances", received=received, code="invalid_field")
        return Inputs(faults=(fault,))
    if "inputs" in document:
        return _from_inputs(signature, document["inputs"])
    return _from_instances(signature, document["instances"])


def _from_inputs(signature: Signature, value: object) -> Inputs:
    only = signature.inputs[0] if len(signature.inputs) == 1 else None
    if only is not None and not only.is_tensor and not isinstance(value, dict):
        refuse_too_many({"/inputs": (only, value)})
        return Inputs(wrapped=(unwrap(only, value, "/inputs"),), pointers={only.name: "/inputs"})
    if only is not None and only.is_tensor and _is_tensor(only, value):
        return Inputs(tensors=(take_apart(only, value, "/inputs"),), pointers={only.name: "/inputs"})
    if not isinstance(value, dict):
        expected = "an object of tensors by name" + ("" if only is None else f", or {only}")
        return Inputs(faults=(_wrong_field("/inputs", expected, value),))
    known = {spec.name for spec in signature.inputs}
    wrapped = {
        f"/inputs/{pointer_token(spec.name)}": (spec, value[spec.name])
        for spec in signature.inputs
        if spec.name in value and not spec.is_tensor
    }
    refuse_too_many(wrapped)
    return Inputs(
        tensors=tuple(
            take_apart(spec, value[spec.name], f"/inputs/{pointer_token(spec.name)}")
            for spec in signature.inputs
            if spec.name in value and spec.is_tensor
        ),
        wrapped=tuple(unwrap(spec, inner, pointer) for pointer, (spec, inner) in wrapped.items()),
        unknown=tuple(dict.fromkeys(shortened(name) for name in value if name not in known)),
    )


def _is_tensor(only: TensorSpec, value: object) -> bool:
    if isinstance(value, dict):
        return only.name not in value and value.keys() == {"shape", "data"}
    return isinstance(value, list) or not only.shape


def _from_instances(signature: Signature, value: object) -> Inputs:
    if not isinstance(value, list):
        return Inputs(faults=(_wrong_field("/instances", "a list of rows", value),))
    if not all(spec.is_tensor for spec in signature.inputs):
        return Inputs(faults=(_wrong_field("/instances", "inputs: what is no tensor has no rows", value),))
    if len(signature.inputs) == 1:
        (only,) = signature.inputs
        rows = from_lists(only, value, lambda index: indexed("/instances", index))
        return Inputs(tensors=(rows,), pointers={only.name: "/instances"})
    if not value:
        return Inputs(faults=(_wrong_field("/instances", "at least one row", value),))
    odd = next((index for index, row in enumerate(value) if not isinstance(row, dict)), None)
    if odd is not None:
        return Inputs(faults=(_wrong_field(f"/instances/{odd}", "an object of rows by name", value[odd]),))
    return _from_rows(signature, value)


def _from_rows(signature: Signature, rows: list[dict[str, object]]) -> Inputs:
    first_row_of: dict[str, int] = {}
    for index, row in enumerate(rows):
        for name in row:
            first_row_of.setdefault(name, index)
    known = {spec.name for spec in signature.inputs}
    unknown = {shortened(name): row for name, row in first_row_of.items() if name not in known}
    return Inputs(
        tensors=tuple(_column(spec, rows) for spec in signature.inputs if spec.name in first_row_of),
        unknown=tuple(unknown),
        pointers={name: f"/instances/{row}/{pointer_token(name)}" for name, row in unknown.items()},
        base="/instances/0",
    )


def _column(spec: TensorSpec, rows: list[dict[str, object]]) -> Leaves:
    token = pointer_token(spec.name)
    lacking = [index for index, row in enumerate(rows) if spec.name not in row]
    if not lacking:
        values = [row[spec.name] for row in rows]
        return from_lists(spec, values, lambda index: indexed(f"/instances/{index[0]}/{token}", index[1:]))
    faults = [
        Violation(
            path=f"/instances/{index}/{token}", expected=f"a row of {spec}", received="nothing", code="missing_input"
        )
        for index in lacking[:MAX_NAMED]
    ]
    return Leaves(spec=spec, pointer_of=lambda _: faults[0].path, faults=tuple(faults))


def _wrong_field(path: str, expected: str, value: object) -> Violation:
    return Violation(path=path, expected=expected, received=describe(value), code="invalid_field")
