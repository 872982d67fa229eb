"""How often each operator stands in a graph, read off the file without any library that knows ONNX.

The file comes from a registry that has had it inspected, over a network that anybody may stand in: nothing is run, only
the fields in ``_CHILDREN`` are entered, and everything else, weights above all, is skipped by its length.

Field numbers: onnx.proto3 of ONNX 1.23.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from gateway.client.external_data import NotProtobuf, fields

_MAX_DEPTH: Final = 64

_CHILDREN: Final[Mapping[str, Mapping[int, str]]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {6: "graph", 11: "graph"},
}
"""Message -> field number -> the kind of message that it holds."""

_OP_TYPE, _DOMAIN = 4, 7
_DEFAULT_DOMAINS: Final = frozenset({"", "ai.onnx"})


def count_operators(octets: bytes) -> dict[str, int] | None:
    """Return how often each operator stands in a model's graph, subgraphs and functions; None where it is no model.

    An operator of another domain than ONNX's own is named with it: ``com.microsoft.Gelu``.
    """
    try:
        return dict(Counter(_operators(octets, 0, len(octets), "model", 0)))
    except NotProtobuf:
        return None


def _operators(octets: bytes, start: int, end: int, kind: str, depth: int) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        raise NotProtobuf
    children = _CHILDREN[kind]
    texts: dict[int, str] = {}
    for number, begin, stop in fields(octets, start, end):
        if kind == "node" and number in (_OP_TYPE, _DOMAIN):
            texts[number] = octets[begin:stop].decode("utf-8", "replace")
        elif number in children:
            yield from _operators(octets, begin, stop, children[number], depth + 1)
    if kind == "node":
        domain = texts.get(_DOMAIN, "")
        yield texts.get(_OP_TYPE, "?") if domain in _DEFAULT_DOMAINS else f"{domain}.{texts.get(_OP_TYPE, '?')}"
