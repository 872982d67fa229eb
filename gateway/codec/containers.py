"""What is no tensor, as JSON has it: a sequence is a list, a map an object, an absent optional null.

Keys of a map that are integers are written as text, since JSON has no others. What is inside is read as any tensor is,
in nested lists or as shape and data.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from gateway.codec.elements import describe, read_elements
from gateway.codec.limits import MAX_NAMED
from gateway.codec.nesting import Leaves, take_apart
from registry.errors import Violation
from registry.signature import check_emptiness, pointer_token, shortened
from registry.tensor import OPTIONAL, SEQUENCE, DType, TensorSpec, format_shape, map_key
from registry.values import Value

_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,18})")


@dataclass(slots=True, kw_only=True)
class Wrapped:
    """One value of a body that is no tensor, taken apart."""

    spec: TensorSpec
    pointer: str
    parts: list[tuple[str, Leaves]] = field(default_factory=list)
    """The tensors inside, in their order, and where they stand."""
    faults: list[Violation] = field(default_factory=list)
    _shell: "_Shell | None" = None

    @property
    def count(self) -> int:
        """How many elements it has; what holds tensors counts as one each."""
        return sum(1 + len(part.elements) for _, part in self.parts)

    def read(self) -> tuple[Value, list[Violation]]:
        """Return the value, which is of use only if there are no faults, and all of those."""
        faults, arrays = list(self.faults), []
        for pointer, part in self.parts:
            array, found = read_elements(part.spec.dtype, part.elements)
            faults += [*part.faults, *(fault.at(part.pointer_of(fault.index)) for fault in found)]
            if part.shape is not None:
                array = array.reshape(part.shape)
                faults += _shape_faults(part.spec, part.shape, pointer)
                faults += check_emptiness(part.spec, part.shape, pointer)
            arrays.append(array)
        value: Value = None
        if not faults and self._shell is not None:
            value = self._shell.fill(iter(arrays))
        return value, faults[:MAX_NAMED]


@dataclass(frozen=True, slots=True)
class _Shell:
    """A value without its tensors: a list or dict of shells, None where one belongs or where nothing is."""

    kind: str
    inner: "tuple[tuple[object, _Shell], ...]" = ()

    def fill(self, arrays: Iterator[Value]) -> Value:
        match self.kind:
            case "tensor":
                return next(arrays)
            case "absent":
                return None
            case "map":
                return {key: shell.fill(arrays) for key, shell in self.inner}
            case _:
                return [shell.fill(arrays) for _, shell in self.inner]


def unwrap(spec: TensorSpec, value: object, pointer: str) -> Wrapped:
    """Take apart what stands at ``pointer``."""
    wrapped = Wrapped(spec=spec, pointer=pointer)
    wrapped._shell = _unwrap(spec, value, pointer, wrapped)  # noqa: SLF001 - filled in while it is made
    return wrapped


def _unwrap(spec: TensorSpec, value: object, pointer: str, into: Wrapped) -> _Shell:
    if not spec.containers:
        into.parts.append((pointer, take_apart(spec, value, pointer)))
        return _Shell("tensor")
    inner = replace(spec, containers=spec.containers[1:])
    container = spec.containers[0]
    if container == OPTIONAL:
        return _Shell("absent") if value is None else _unwrap(inner, value, pointer, into)
    if container == SEQUENCE and isinstance(value, list):
        items = [(place, _unwrap(inner, item, f"{pointer}/{place}", into)) for place, item in enumerate(value)]
        return _Shell(SEQUENCE, tuple(items))
    key = map_key(container)
    if key is not None and isinstance(value, dict):
        return _Shell("map", tuple(_entries(inner, key, value, pointer, into)))
    into.faults.append(Violation(path=pointer, expected=str(spec), received=describe(value), code="invalid_dtype"))
    return _Shell("absent")


def _entries(
    inner: TensorSpec, key: DType, value: dict[str, object], pointer: str, into: Wrapped
) -> Iterator[tuple[object, _Shell]]:
    for name, item in value.items():
        where = f"{pointer}/{pointer_token(shortened(name))}"
        if key.kind != "O" and not (_INTEGER.fullmatch(name) and key.least <= int(name) <= key.most):
            fault = Violation(
                path=where, expected=f"a key of {key.name}", received=shortened(name), code="invalid_dtype"
            )
            into.faults.append(fault)
            continue
        yield (name if key.kind == "O" else int(name)), _unwrap(inner, item, where, into)


def _shape_faults(spec: TensorSpec, shape: tuple[int, ...], pointer: str) -> list[Violation]:
    """Hold a tensor's shape against that of its spec; names of free sizes need not agree from one to the next."""
    wanted = spec.shape
    if wanted is None:
        return []
    fits = len(wanted) == len(shape) and all(
        not isinstance(dim, int) or dim == size for dim, size in zip(wanted, shape, strict=True)
    )
    if fits:
        return []
    received = f"{spec.dtype.name}{format_shape(shape)}"
    return [Violation(path=pointer, expected=str(spec), received=received, code="invalid_shape")]
