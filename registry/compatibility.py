"""What becomes of the callers of one version when another takes its place.

1. A caller sends any request that fits the old signature, and reads the answers by their names, dtypes and shapes.
2. ``identical``: the same requests fit, and the answers look the same, whatever free dimensions are called.
3. ``widening``: all requests that fitted still fit, and the answers have what they had.
4. ``narrowing``: some requests that fitted still fit, others do not any more; the answers have what they had.
5. ``breaking``: no request that fitted fits any more, or the answers have lost or changed something.
6. Two free dimensions of one name have to agree within a request. A name that comes to stand twice takes requests away
   as a fixed size does.
7. An answer may leave a size open that was fixed, and the reverse: whoever reads it has its shape before them.

Differences say where narrowing or breaking happens, changes what else is other than it was.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from registry.errors import Difference
from registry.signature import Signature
from registry.tensor import Dim, Shape, TensorSpec, format_shape

_Place = tuple[str, int]
"""An input's name and the index of one of its dimensions."""


class Compatibility(StrEnum):
    """What callers will notice, from nothing to everything; see the rules above."""

    IDENTICAL = "identical"
    WIDENING = "widening"
    NARROWING = "narrowing"
    BREAKING = "breaking"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One signature held against another."""

    compatibility: Compatibility
    differences: tuple[Difference, ...]
    """What some caller would stumble over; empty if the new one is identical or wider."""
    changes: tuple[Difference, ...]
    """What else is other than it was."""


def compare(before: Signature, after: Signature) -> Comparison:
    """Return what callers of ``before`` would notice of ``after``."""
    lost = (*_input_differences(before, after), *_tie_differences(before, after))
    other = tuple(_output_differences(before, after))
    changes = tuple(_changes(before, after))
    if other or (lost and not _share_requests(before, after)):
        found = Compatibility.BREAKING
    elif lost:
        found = Compatibility.NARROWING
    else:
        found = Compatibility.WIDENING if changes else Compatibility.IDENTICAL
    return Comparison(compatibility=found, differences=(*lost, *other), changes=changes)


# --- what callers would stumble over ----------------------------------------------------------------------------------


def _input_differences(before: Signature, after: Signature) -> Iterator[Difference]:
    old_inputs, new_inputs = _by_name(before.inputs), _by_name(after.inputs)
    for name, old in old_inputs.items():
        new = new_inputs.get(name)
        if new is None:
            yield Difference(path=f"inputs/{name}", before=str(old), after="absent")
            continue
        if _type(old) != _type(new):
            yield _dtypes(f"inputs/{name}", old, new)
        if not _takes(new.shape, old.shape):
            yield _shapes(f"inputs/{name}", old, new)
        if old.optional and not new.optional:
            yield Difference(path=f"inputs/{name}/optional", before="true", after="false")
    for name, new in new_inputs.items():
        if name not in old_inputs and not new.may_be_absent:
            yield Difference(path=f"inputs/{name}", before="absent", after=str(new))


def _takes(new: Shape | None, old: Shape | None) -> bool:
    """Return whether each shape that fits ``old`` fits ``new``, ties between dimensions left aside."""
    if new is None:
        return True
    if old is None or len(old) != len(new):
        return False
    return all(not isinstance(now, int) or now == was for was, now in zip(old, new, strict=True))


def _tie_differences(before: Signature, after: Signature) -> Iterator[Difference]:
    """Yield the dimensions that have to agree now and did not have to before (rule 6)."""
    old = dict(_places(before))
    for symbol, first, other in _tied(after, old):
        if not _agreed(old[first], old[other]):
            was, now = _free(old[other]), f"{symbol}, as in {first[0]}"
            yield Difference(path=_path(other), before=was, after=now)


def _agreed(one: Dim, other: Dim) -> bool:
    return one is not None and one == other


def _output_differences(before: Signature, after: Signature) -> Iterator[Difference]:
    new_outputs = _by_name(after.outputs)
    for name, old in _by_name(before.outputs).items():
        new = new_outputs.get(name)
        if new is None:
            yield Difference(path=f"outputs/{name}", before=str(old), after="absent")
            continue
        if _type(old) != _type(new):
            yield _dtypes(f"outputs/{name}", old, new)
        if not _could_be(old.shape, new.shape):
            yield _shapes(f"outputs/{name}", old, new)


def _could_be(old: Shape | None, new: Shape | None) -> bool:
    if old is None or new is None:
        return True
    return len(old) == len(new) and not any(map(_both_fixed_but_other, old, new))


def _both_fixed_but_other(was: Dim, now: Dim) -> bool:
    return isinstance(was, int) and isinstance(now, int) and was != now


# --- whether any request fits both ------------------------------------------------------------------------------------


def _share_requests(before: Signature, after: Signature) -> bool:
    """Return whether some request fits both: one of nothing but what either needs would fit first."""
    old_inputs, new_inputs = _by_name(before.inputs), _by_name(after.inputs)
    needed = [spec.name for spec in (*before.inputs, *after.inputs) if not spec.may_be_absent]
    sizes = _Sizes()
    for name in dict.fromkeys(needed):
        old, new = old_inputs.get(name), new_inputs.get(name)
        if old is None or new is None or _type(old) != _type(new):
            return False
        if old.shape is not None and new.shape is not None and len(old.shape) != len(new.shape):
            return False
        for version, shape in enumerate((old.shape, new.shape)):
            for index, dim in enumerate(shape or ()):
                member: object = (version, dim) if isinstance(dim, str) and old.is_tensor else dim
                if isinstance(member, int | tuple) and not sizes.unite((name, index), member):
                    return False
    return True


class _Sizes:
    """Dimensions that are known to be equal; each set of them has one fixed size at most."""

    def __init__(self) -> None:
        self._parents: dict[object, object] = {}

    def unite(self, one: object, other: object) -> bool:
        """Take note that two are equal; False if that cannot be. A fixed size is an int."""
        first, second = self._root(one), self._root(other)
        if first == second:
            return True
        if isinstance(first, int):
            first, second = second, first
        if isinstance(first, int):
            return False
        self._parents[first] = second
        return True

    def _root(self, member: object) -> object:
        while member in self._parents:
            member = self._parents[member]
        return member


# --- what else is other than it was -----------------------------------------------------------------------------------


def _changes(before: Signature, after: Signature) -> Iterator[Difference]:
    """Yield what callers of ``before`` need not mind."""
    for kind, olds, news in (("inputs", before.inputs, after.inputs), ("outputs", before.outputs, after.outputs)):
        old_specs = _by_name(olds)
        for name, new in _by_name(news).items():
            old = old_specs.get(name)
            if old is None:
                if kind == "outputs" or new.may_be_absent:
                    yield Difference(path=f"{kind}/{name}", before="absent", after=str(new))
                continue
            if new.optional and not old.optional:
                yield Difference(path=f"{kind}/{name}/optional", before="false", after="true")
            is_harmless = _takes(new.shape, old.shape) if kind == "inputs" else _could_be(old.shape, new.shape)
            if is_harmless and not _looks_alike(old.shape, new.shape):
                yield _shapes(f"{kind}/{name}", old, new)
    yield from _freed(before, after)


def _looks_alike(old: Shape | None, new: Shape | None) -> bool:
    if old is None or new is None:
        return old is new
    return len(old) == len(new) and all(
        was == now or not (isinstance(was, int) or isinstance(now, int)) for was, now in zip(old, new, strict=True)
    )


def _freed(before: Signature, after: Signature) -> Iterator[Difference]:
    """Yield the dimensions that had to agree and need not any more."""
    new = dict(_places(after))
    for symbol, first, other in _tied(before, new):
        if not _agreed(new[first], new[other]) and not isinstance(new[other], int):
            was, now = f"{symbol}, as in {first[0]}", _free(new[other])
            yield Difference(path=_path(other), before=was, after=now)


# --- what all of these look at ----------------------------------------------------------------------------------------


def _by_name(specs: Iterable[TensorSpec]) -> Mapping[str, TensorSpec]:
    return {spec.name: spec for spec in specs}


def _places(signature: Signature) -> Iterator[tuple[_Place, Dim]]:
    for spec in signature.inputs:  # what stands in containers need not agree with anything
        for index, dim in enumerate((spec.shape or ()) if spec.is_tensor else ()):
            yield (spec.name, index), dim


def _tied(signature: Signature, known: Mapping[_Place, Dim]) -> Iterator[tuple[str, _Place, _Place]]:
    """Yield (name, first place, another place) of each name of a free dimension, among the known places."""
    firsts: dict[str, _Place] = {}
    for place, dim in _places(signature):
        if isinstance(dim, str) and place in known:
            first = firsts.setdefault(dim, place)
            if first != place:
                yield dim, first, place


def _path(place: _Place) -> str:
    name, index = place
    return f"inputs/{name}/shape/{index}"


def _free(dim: Dim) -> str:
    return "?" if dim is None else str(dim)


def _dtypes(path: str, old: TensorSpec, new: TensorSpec) -> Difference:
    return Difference(path=f"{path}/dtype", before=_type(old), after=_type(new))


def _type(spec: TensorSpec) -> str:
    return "".join(f"{container}(" for container in spec.containers) + spec.dtype.name + ")" * len(spec.containers)


def _shapes(path: str, old: TensorSpec, new: TensorSpec) -> Difference:
    return Difference(path=f"{path}/shape", before=format_shape(old.shape), after=format_shape(new.shape))
