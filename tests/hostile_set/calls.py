"""Functions and branches: a few bytes that mean a thousand million nodes, that call themselves, or that nest deep."""

from collections.abc import Iterator
from functools import partial

from onnx import ModelProto, helper

from tests.hostile_set.case import ANSWERED, COMPLEX, FileCase, feed, refused, taken
from tests.support import models
from tests.support.hostile_files import nested_sequences, nested_types

_DOUBLING, _RECURSIVE, _NESTED = "functions that double", "functions that call themselves", "nested deep"
_ONE = feed([-1.0, 2.0], *ANSWERED)
_IMPORTS = [helper.make_opsetid("", models.OPSET), helper.make_opsetid("own", 1)]


def cases() -> Iterator[FileCase]:
    """Yield functions that expand, that recur, that redefine the standard, and graphs inside graphs."""
    for levels in (1, 5, 10):
        yield taken(_DOUBLING, f"2^{levels} nodes", partial(models.calls, levels), _ONE)
    for levels in (16, 20, 63, 64, 1000):
        yield refused(_DOUBLING, f"2^{levels} nodes", partial(models.calls, levels), COMPLEX)
    for levels, fan in ((5, 10), (10, 100)):
        yield refused(_DOUBLING, f"{fan}^{levels} nodes", partial(models.calls, levels, fan=fan), COMPLEX)
    yield refused(_RECURSIVE, "f calls f", partial(ring, 1))
    yield refused(_RECURSIVE, "f calls g calls h calls f", partial(ring, 3))
    yield refused(_RECURSIVE, "a ring of 5,000 functions", partial(ring, 5000))
    yield refused(_RECURSIVE, "f calls f in a branch", ring_in_branch)
    yield refused(_RECURSIVE, "a function that is there twice", partial(twice, "own"))
    yield taken("functions that redefine the standard", "another Relu", redefined, _ONE)
    yield refused(
        "functions that redefine the standard",
        "a function in the runtime's own domain",
        inside,
        ("422 unsupported_operator",),
    )
    for depth in (1, 10):
        yield taken(
            _NESTED, f"{depth} branches", partial(models.nested_ifs, depth), feed({"x": [1.0], "c": True}, *ANSWERED)
        )
    yield refused(_NESTED, "100 branches", partial(in_branches, 100), COMPLEX)
    yield refused(_NESTED, "1,000 branches", partial(in_branches, 1000), COMPLEX)
    yield refused(
        _NESTED, "an input of 60 sequences", partial(nested_types, 60), (*COMPLEX, "422 unsupported_signature")
    )
    yield refused(_NESTED, "an output of 20 sequences", partial(nested_sequences, 20), ("422 unsupported_signature",))
    yield refused(_NESTED, "20,000 groups", lambda: models.linear().SerializeToString() + b"\x0b" * 20_000)
    yield refused(_NESTED, "20,000 groups in the graph", lambda: b"\x08\x09" + counted(7, b"\x0b" * 20_000))


def ring(length: int) -> ModelProto:
    """Functions of which each calls the next, and the last one the first."""
    functions = [
        helper.make_function(
            "own",
            f"f{place}",
            ["a"],
            ["z"],
            [helper.make_node(f"f{(place + 1) % length}", ["a"], ["z"], domain="own")],
            _IMPORTS,
        )
        for place in range(length)
    ]
    return _calling("f0", functions)


def ring_in_branch() -> ModelProto:
    """A function that calls itself in the branch of an If."""
    again = helper.make_graph([helper.make_node("f", ["a"], ["t"], domain="own")], "again", [], [models.value("t")])
    ended = helper.make_graph([helper.make_node("Identity", ["a"], ["e"])], "ended", [], [models.value("e")])
    nodes = [
        helper.make_node("Constant", [], ["c"], value=models.initializer("c", True)),
        helper.make_node("If", ["c"], ["z"], then_branch=again, else_branch=ended),
    ]
    return _calling("f", [helper.make_function("own", "f", ["a"], ["z"], nodes, _IMPORTS)])


def twice(domain: str) -> ModelProto:
    """Two functions of one name."""
    made = helper.make_function(domain, "f", ["a"], ["z"], [helper.make_node("Relu", ["a"], ["z"])], _IMPORTS)
    return _calling("f", [made, made])


def redefined() -> ModelProto:
    """A function that is called Relu as the standard's is, and negates."""
    negating = helper.make_function("", "Relu", ["a"], ["z"], [helper.make_node("Neg", ["a"], ["z"])], _IMPORTS[:1])
    return models.model(
        [helper.make_node("Relu", ["x"], ["y"])], [models.value("x")], [models.value("y")], functions=[negating]
    )


def inside() -> ModelProto:
    """A function in a domain in which the runtime has operators of its own."""
    domain = "com.microsoft.nchwc"
    made = helper.make_function(domain, "Conv", ["a"], ["z"], [helper.make_node("Relu", ["a"], ["z"])], _IMPORTS[:1])
    return models.model(
        [helper.make_node("Conv", ["x"], ["y"], domain=domain)],
        [models.value("x")],
        [models.value("y")],
        functions=[made],
        opsets={domain: 1},
    )


def in_branches(depth: int) -> bytes:
    """Branches in branches, as bytes: the library that writes messages refuses to."""
    graph = b""
    for _ in range(depth):
        attribute = counted(1, b"then_branch") + counted(6, graph) + b"\xa0\x01\x05"
        graph = counted(1, counted(5, attribute) + counted(4, b"If"))
    return b"\x08\x09" + counted(7, graph)


def counted(number: int, payload: bytes) -> bytes:
    """Return a field that says how long it is."""
    size = bytearray()
    length = len(payload)
    while length > 0x7F:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([number << 3 | 2, *size, length]) + payload


def _calling(name: str, functions: list[object]) -> ModelProto:
    return models.model(
        [helper.make_node(name, ["x"], ["y"], domain="own")],
        [models.value("x")],
        [models.value("y")],
        functions=functions,
        opsets={"own": 1},
    )
