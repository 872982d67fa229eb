"""What is no tensor, as JSON has it: a sequence is a list, a map an object, an absent optional null.

1. Keys of a map that are integers are written as text, since JSON has no others. What is inside is read as any tensor
   is, in nested lists or as shape and data.
2. Many small tensors cost far more than one large one: what holds them is counted before it is taken apart, and the
   elements of all are read at once.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate, chain
from typing import Any, NamedTuple

from gateway.codec.body import Array
from gateway.codec.elements import describe, read_elements
from gateway.codec.limits import MAX_HELD, MAX_NAMED
from gateway.codec.nesting import Leaves, take_apart
from registry.errors import TooManyElements, Violation
from registry.signature import check_emptiness, pointer_token, shortened
from registry.tensor import OPTIONAL, SEQUENCE, DType, TensorSpec, format_shape, map_key
from registry.values import Value

_INTEGER = re.compile(r"0|-?[1-9]\d{0,18}|[1-9]\d{19}")
"""One text for each number that fits 64 bits: two keys of an object are never the same one."""


class _Part(NamedTuple):
    """A tensor inside."""

    pointer: str
    elements: list[Any]
    shape: tuple[int, ...] | None
    leaves: Leaves | None
    """None of a scalar: there may be many, and all is known of it."""

    def pointer_of(self, index: int) -> str:
        return self.pointer if self.leaves is None else self.leaves.pointer_of(index)


@dataclass(slots=True, kw_only=True)
class Wrapped:
    """One value of a body that is no tensor, taken apart."""

    spec: TensorSpec
    parts: list[_Part] = field(default_factory=list)
    """The tensors inside, in their order."""
    faults: list[Violation] = field(default_factory=list)
    _shell: "_Shell | None" = None

    @property
    def count(self) -> int:
        """How many elements it has; what holds tensors counts as one each."""
        return sum(1 + len(part.elements) for part in self.parts)

    def read(self) -> tuple[Value, list[Violation]]:
        """Return the value, which is of use only if there are no faults, and all of those."""
        array, found = read_elements(self.spec.dtype, list(chain.from_iterable(part.elements for part in self.parts)))
        ends = list(accumulate(len(part.elements) for part in self.parts))
        faults: list[list[Violation]] = [[] if part.leaves is None else [*part.leaves.faults] for part in self.parts]
        for fault in found:
            place = bisect_right(ends, fault.index)
            part = self.parts[place]
            faults[place].append(fault.at(part.pointer_of(fault.index - ends[place] + len(part.elements))))
        tensor = replace(self.spec, containers=())
        for place, part in enumerate(self.parts):
            faults[place] += _shape_faults(tensor, part.shape, part.pointer)
            if part.shape is not None:
                faults[place] += check_emptiness(tensor, part.shape, part.pointer)
        every = [*self.faults, *chain.from_iterable(faults)]
        if every or self._shell is None:
            return None, every[:MAX_NAMED]
        return self._shell.fill(self._arrays(array, ends)), []

    def _arrays(self, array: Array, ends: list[int]) -> Iterator[Array]:
        """Yield arrays of their own: where one starts in memory may decide last bits of sums."""
        for part, end in zip(self.parts, ends, strict=True):
            yield array[end - len(part.elements) : end].reshape(part.shape or ()).copy()


class _Shell(NamedTuple):
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


_TENSOR, _ABSENT = _Shell("tensor"), _Shell("absent")


def refuse_too_many(values: Mapping[str, tuple[TensorSpec, object]]) -> None:
    """Count what sequences and maps hold.

    Args:
        values: by pointer.

    Raises:
        TooManyElements: it is more than ``MAX_HELD``, of all together.
    """
    held = {pointer: _count_held(spec.containers, value) for pointer, (spec, value) in values.items()}
    if sum(held.values()) > MAX_HELD:
        path = max(held, key=lambda pointer: held[pointer])
        expected = f"at most {MAX_HELD} tensors, sequences and maps in those of one request"
        received = f"{held[path]} of them"
        raise TooManyElements([Violation(path=path, expected=expected, received=received, code=TooManyElements.code)])


def _count_held(containers: tuple[str, ...], value: object) -> int:
    count, level = 0, [value]
    for container in containers:
        if container == OPTIONAL:
            continue
        holders = [item for item in level if isinstance(item, list | dict)]
        count += sum(map(len, holders))
        if count > MAX_HELD:
            return count
        level = [item for holder in holders for item in (holder.values() if isinstance(holder, dict) else holder)]
    return count


def unwrap(spec: TensorSpec, value: object, pointer: str) -> Wrapped:
    """Take apart what stands at ``pointer``; ``refuse_too_many`` has seen it."""
    wrapped = Wrapped(spec=spec)
    inner = [replace(spec, containers=spec.containers[depth:]) for depth in range(len(spec.containers) + 1)]
    wrapped._shell = _unwrap(inner, value, pointer, wrapped)  # noqa: SLF001 - filled in while it is made
    return wrapped


def _unwrap(specs: list[TensorSpec], value: object, pointer: str, into: Wrapped) -> _Shell:
    """Take apart a value of the first spec; the others are those of what is inside."""
    spec, *inner = specs
    if not inner:
        into.parts.append(_part(spec, value, pointer))
        return _TENSOR
    container = spec.containers[0]
    if container == OPTIONAL:
        return _ABSENT if value is None else _unwrap(inner, value, pointer, into)
    if container == SEQUENCE and isinstance(value, list):
        items = [(place, _unwrap(inner, item, f"{pointer}/{place}", into)) for place, item in enumerate(value)]
        return _Shell(SEQUENCE, tuple(items))
    key = map_key(container)
    if key is not None and isinstance(value, dict):
        return _Shell("map", tuple(_entries(inner, key, value, pointer, into)))
    if len(into.faults) < MAX_NAMED:
        into.faults.append(Violation(path=pointer, expected=str(spec), received=describe(value), code="invalid_dtype"))
    return _ABSENT


def _part(spec: TensorSpec, value: object, pointer: str) -> _Part:
    if not isinstance(value, list | dict):
        return _Part(pointer, [value], (), None)
    leaves = take_apart(spec, value, pointer)
    return _Part(pointer, leaves.elements, leaves.shape, leaves)


def _entries(
    inner: list[TensorSpec], key: DType, value: dict[str, object], pointer: str, into: Wrapped
) -> Iterator[tuple[object, _Shell]]:
    for name, item in value.items():
        where = f"{pointer}/{pointer_token(shortened(name))}"
        if key.kind == "O":
            yield name, _unwrap(inner, item, where, into)
        elif _INTEGER.fullmatch(name) and key.least <= int(name) <= key.most:
            yield int(name), _unwrap(inner, item, where, into)
        elif len(into.faults) < MAX_NAMED:
            fault = Violation(
                path=where, expected=f"a key of {key.name}", received=shortened(name), code="invalid_dtype"
            )
            into.faults.append(fault)


def _shape_faults(spec: TensorSpec, shape: tuple[int, ...] | None, pointer: str) -> list[Violation]:
    """Hold a tensor's shape against that of its spec; names of free sizes need not agree from one to the next."""
    wanted = spec.shape
    if wanted is None or shape is None:
        return []
    fits = len(wanted) == len(shape) and all(
        not isinstance(dim, int) or dim == size for dim, size in zip(wanted, shape, strict=True)
    )
    if fits:
        return []
    received = f"{spec.dtype.name}{format_shape(shape)}"
    return [Violation(path=pointer, expected=str(spec), received=received, code="invalid_shape")]
