"""How deep the trees of an ensemble are, before a runtime that recurses over them finds out.

Source: onnx/docs/Operators-ml.md, TreeEnsembleClassifier, TreeEnsembleRegressor (nodes known by tree and node id) and
TreeEnsemble (nodes known by their place).
"""

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from registry.errors import InvalidArtifact
from registry.inspection.wire import LENGTH, VARINT, Bytes, Field, Tally, fields, malformed

TREE_OPERATORS: Final = frozenset({b"TreeEnsembleClassifier", b"TreeEnsembleRegressor", b"TreeEnsemble"})

_NAME, _INTS, _STRINGS = 1, 8, 9

Integers: TypeAlias = NDArray[np.int64]
_Attributes: TypeAlias = Mapping[bytes, Integers]


def check_trees(data: Bytes, attributes: list[tuple[int, int]], tally: Tally, *, limit: int) -> None:
    """Make sure that no tree of the ensemble with these attributes is deeper than ``limit``.

    Raises:
        InvalidArtifact: ``too_complex`` for a deeper one; ``invalid_model`` for branches that join or form a ring.
    """
    values = dict(_read_attribute(data, begin, end, tally) for begin, end in attributes)
    roots, first, second = _by_place(values) if b"tree_roots" in values else _by_id(values)
    seen, frontier = 0, roots
    for _ in range(limit + 1):
        children = np.concatenate((first[frontier], second[frontier]))
        frontier = children[children >= 0]
        seen += len(frontier)
        if not len(frontier):
            return
        if seen > len(first):
            raise InvalidArtifact("invalid_model", "a tree of the model's ensemble has branches that join")
    raise InvalidArtifact("too_complex", f"a tree of the model's ensemble is more than {limit} branches deep")


def _read_attribute(data: Bytes, begin: int, end: int, tally: Tally) -> tuple[bytes, Integers]:
    """Return an attribute's name and its integers; for texts, 1 where the text is LEAF and 0 elsewhere."""
    name, parts, leaves = b"", [], []
    for field in fields(data, begin, end, tally):
        number, wire, start, stop = field
        if number == _NAME and wire == LENGTH:
            name = data[start : min(stop, start + 64)]
        elif number == _INTS and wire in (VARINT, LENGTH):
            parts.append(_integers(data, field))
        elif number == _STRINGS and wire == LENGTH:
            leaves.append(stop - start == 4 and data[start:stop] == b"LEAF")  # noqa: PLR2004 - no copy of long texts
    parts.append(np.array(leaves, np.int64))
    return name, np.concatenate(parts)


def _integers(data: Bytes, field: Field) -> Integers:
    """Decode a numeric field as ``wire.varints`` does, but millions at once."""
    _, wire, begin, end = field
    octets = np.frombuffer(data, np.uint8, end - begin, begin)
    last = np.flatnonzero(octets < 0x80)  # noqa: PLR2004 - the top bit says that more follows
    if not len(last):
        return np.empty(0, np.int64)
    first = np.concatenate(([0], last[:-1] + 1))
    sizes = last - first + 1
    if sizes.max() > 10 or last[-1] != len(octets) - 1:  # noqa: PLR2004 - the longest varint
        raise malformed(begin)
    values = np.zeros(len(last), np.uint64)
    for place in range(int(sizes.max())):
        has = sizes > place
        values[has] |= (octets[first[has] + place] & 0x7F).astype(np.uint64) << np.uint64(7 * place)
    return (values[1::2] if wire == VARINT else values).view(np.int64)


def _by_place(values: _Attributes) -> tuple[Integers, Integers, Integers]:
    """Return roots and both children by place, -1 where there is none, of the newer operator."""
    nodes = len(_column(values, b"nodes_truenodeids"))
    sides = []
    for side in (b"true", b"false"):
        ids, leaves = (_column(values, b"nodes_%s%s" % (side, what)) for what in (b"nodeids", b"leafs"))
        if len(ids) != nodes or len(leaves) != nodes:
            raise _unequal()
        sides.append(np.where((leaves == 0) & (ids >= 0) & (ids < nodes), ids, -1))
    roots = values[b"tree_roots"]
    return np.unique(roots[(roots >= 0) & (roots < nodes)]), sides[0], sides[1]


def _by_id(values: _Attributes) -> tuple[Integers, Integers, Integers]:
    """Return roots and both children by place, -1 where there is none, of the older operators."""
    names = (b"nodes_treeids", b"nodes_nodeids", b"nodes_truenodeids", b"nodes_falsenodeids", b"nodes_modes")
    trees, ids, yes, no, leaf = columns = [_column(values, name) for name in names]
    if len({len(column) for column in columns}) > 1:
        raise _unequal()
    if not len(ids):
        return ids, ids, ids
    own, *children = _keys(trees, ids, yes, no)
    order = np.argsort(own, kind="stable")
    sides = [np.where(leaf == 1, -1, places) for places in _places(own, order, children)]
    is_root = np.concatenate(([True], trees[1:] != trees[:-1]))
    return np.flatnonzero(is_root), sides[0], sides[1]


def _keys(trees: Integers, *ids: Integers) -> list[Integers]:
    """Return one number for each pair of a tree and an id, equal where the pairs are."""
    _, tree_ranks = np.unique(trees, return_inverse=True)
    known, ranks = np.unique(np.concatenate(ids), return_inverse=True)
    return [tree_ranks * len(known) + part for part in np.split(ranks, len(ids))]


def _places(own: Integers, order: Integers, children: list[Integers]) -> Iterator[Integers]:
    ordered = own[order]
    for wanted in children:
        found = np.minimum(np.searchsorted(ordered, wanted), len(own) - 1)
        yield np.where(ordered[found] == wanted, order[found], -1)


def _column(values: _Attributes, name: bytes) -> Integers:
    return values.get(name, np.empty(0, np.int64))


def _unequal() -> InvalidArtifact:
    return InvalidArtifact("invalid_model", "the columns of the model's tree ensemble are not equally long")
