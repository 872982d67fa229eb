"""Graphs that are too large, that make no sense, or that ask for what there is not."""

from collections.abc import Callable, Iterator
from functools import partial

from onnx import ModelProto, helper

from tests.hostile_set.calls import counted
from tests.hostile_set.case import ANSWERED, COMPLEX, INVALID, FileCase, feed, made, refused, taken
from tests.support import models
from tests.support.hostile_files import changed, many_inputs, relu_chain

_EMPTY, _MANY, _UNKNOWN, _SENSELESS, _TREES = (
    "parts that are empty",
    "very many parts",
    "what nobody knows",
    "a graph that makes no sense",
    "trees",
)
_SIGNATURE = ("422 unsupported_signature",)
_OPERATOR = ("422 unsupported_operator",)
_ANYHOW = feed([[1.0, 2.0, 3.0, 4.0]], *ANSWERED, "422 model_execution_failed", "422 invalid_shape")
"""The runtime takes it; what comes of it is its business, as long as nothing dies."""
_SQUARE = feed([[1.0, 2.0, 3.0, 4.0]], *ANSWERED)


def cases() -> Iterator[FileCase]:
    """Yield what is too many, what is unknown and what is nonsense."""
    yield from _numerous()
    yield from _unknown()
    yield from _senseless()
    yield from _trees()


def _numerous() -> Iterator[FileCase]:
    for what, number in {
        "nodes": 1,
        "tensors": 5,
        "inputs": 11,
        "values": 13,
        "annotations": 14,
        "sparse tensors": 15,
    }.items():
        yield refused(
            _EMPTY,
            f"a million empty {what}",
            lambda number=number: b"\x08\x09" + counted(7, counted(number, b"") * (1 << 20)),
            (*COMPLEX, "422 invalid_tensor_name", *_SIGNATURE),
        )
    yield refused(
        _EMPTY,
        "a million empty functions",
        lambda: b"\x08\x09" + b"\xca\x01\x00" * (1 << 20),
        (*COMPLEX, "422 invalid_model"),
    )
    yield refused(_EMPTY, "a million empty properties", lambda: b"\x08\x09" + b"\x72\x00" * (1 << 20), COMPLEX)
    yield refused(_EMPTY, "a graph of nothing", lambda: b"\x08\x09\x3a\x00", ("422 invalid_model", *_SIGNATURE))
    yield refused(_EMPTY, "ten thousand graphs", lambda: b"\x08\x09" + b"\x3a\x00" * 10_000)
    yield refused(_MANY, "a chain of 50,001 nodes", partial(relu_chain, 50_001), COMPLEX)
    yield taken(_MANY, "a chain of 5,000 nodes", partial(relu_chain, 5000), feed([-1.0], *ANSWERED))
    yield refused(_MANY, "1,025 inputs", partial(ends, 1025, 0), _SIGNATURE)
    yield refused(_MANY, "10,000 outputs", partial(ends, 1, 10_000), _SIGNATURE)
    yield taken(
        _MANY,
        "1,000 inputs",
        partial(ends, 1000, 1),
        made(lambda: {f"x{number}": [1.0] for number in range(1000)}, *ANSWERED),
        feed({"x0": [1.0]}, "422 missing_input"),
    )
    yield taken(_MANY, "1,000 outputs", partial(ends, 1, 1000), feed([1.0], *ANSWERED))


def ends(inputs: int, outputs: int) -> ModelProto:
    """So many inputs, of which each is added up for each of so many outputs."""
    made = many_inputs(inputs)
    del made.graph.node[:]
    names = [value.name for value in made.graph.input]
    for number in range(outputs):
        made.graph.node.append(helper.make_node("Sum", names, [f"y{number}"]))
        made.graph.output.append(models.value(f"y{number}"))
    return made


def _unknown() -> Iterator[FileCase]:
    for domain in (
        "com.example",
        "ai.onnx.preview.training",
        "com.microsoft.nchwc",
        "org.pytorch.aten",
        "AI.ONNX",
        "own",
    ):
        yield refused(_UNKNOWN, f"the domain {domain}", changed(partial(_move, domain)), _OPERATOR)
    for domain in ("", "ai.onnx", "ai.onnx.ml", "com.microsoft"):
        yield refused(
            _UNKNOWN, f"an operator of {domain or 'the standard'} that is not there", changed(partial(_rename, domain))
        )
    for version in (0, -1, 2**31, 2**63 - 1, 99):
        yield refused(_UNKNOWN, f"opset {version}", changed(partial(_set_opset, version)))
    for version in (99, 2**31, 2**63 - 1):
        yield refused(_UNKNOWN, f"format version {version}", changed(partial(_set_ir, version)))
    yield refused(_UNKNOWN, "no opset", changed(lambda source: source.ClearField("opset_import")))
    yield taken(_UNKNOWN, "format version -1", changed(partial(_set_ir, -1)), _ANYHOW)
    yield taken(_UNKNOWN, "two opsets", changed(_add_opset), _ANYHOW)


def _add_opset(source: ModelProto) -> None:
    source.opset_import.append(helper.make_opsetid("", 7))


def _move(domain: str, source: ModelProto) -> None:
    source.graph.node[0].domain = domain
    source.opset_import.append(helper.make_opsetid(domain, 1))


def _rename(domain: str, source: ModelProto) -> None:
    source.graph.node[0].domain = domain
    source.graph.node[0].op_type = "Nope"
    if domain not in ("", "ai.onnx"):
        source.opset_import.append(helper.make_opsetid(domain, 1))


def _set_opset(version: int, source: ModelProto) -> None:
    source.opset_import[0].version = version


def _set_ir(version: int, source: ModelProto) -> None:
    source.ir_version = version


_CHANGES: dict[str, Callable[[ModelProto], object]] = {
    "a node whose input is not there": lambda source: source.graph.node[0].input.__setitem__(0, "nowhere"),
    "an output that nothing makes": lambda source: setattr(source.graph.output[0], "name", "nowhere"),
    "an input that is there twice": lambda source: source.graph.input.append(source.graph.input[0]),
    "an output that is there twice": lambda source: source.graph.output.append(source.graph.output[0]),
    "a weight that is there twice": lambda source: source.graph.initializer.append(source.graph.initializer[0]),
    "a node that makes an input": lambda source: source.graph.node[0].output.__setitem__(0, "x"),
    "a node that makes a weight": lambda source: source.graph.node[0].output.__setitem__(0, "w"),
    "a node without an operator": lambda source: source.graph.node[0].ClearField("op_type"),
    "too few inputs of a node": lambda source: source.graph.node[0].input.__delitem__(slice(1, None)),
    "too many inputs of a node": lambda source: source.graph.node[0].input.extend(["b"] * 100),
    "an attribute that is not there": lambda source: source.graph.node[0].attribute.append(
        helper.make_attribute("nope", 1)
    ),
    "an attribute of another type": lambda source: source.graph.node[0].attribute.append(
        helper.make_attribute("alpha", "text")
    ),
    "an attribute that is there twice": lambda source: source.graph.node[0].attribute.extend(
        [helper.make_attribute("alpha", 1.0)] * 2
    ),
    "an input of no type": lambda source: source.graph.input[0].ClearField("type"),
    "an input of a type that there is not": lambda source: setattr(
        source.graph.input[0].type.tensor_type, "elem_type", 99
    ),
    "an output of another shape": lambda source: setattr(
        source.graph.output[0].type.tensor_type.shape.dim[1], "dim_value", 5
    ),
    "an output of another dtype": lambda source: setattr(source.graph.output[0].type.tensor_type, "elem_type", 7),
    "an input of a negative size": lambda source: setattr(
        source.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", -4
    ),
    "an input of 2^62 columns": lambda source: setattr(
        source.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", 2**62
    ),
}


_TOLERATED = ("a weight that is there twice", "an output of another shape", "an input of a negative size")
_TYPELESS = ("an input of no type", "an input of a type that there is not")


def _senseless() -> Iterator[FileCase]:
    for name, change in _CHANGES.items():
        if name in _TOLERATED:
            yield taken(_SENSELESS, name, changed(change), _ANYHOW)
        else:
            yield refused(_SENSELESS, name, changed(change), _SIGNATURE if name in _TYPELESS else INVALID)
    yield taken(_SENSELESS, "format version 0", changed(partial(_set_ir, 0)), _SQUARE)
    yield taken(_SENSELESS, "nodes in no order", unsorted, feed([1.0], *ANSWERED))


def unsorted() -> ModelProto:
    """A node before the one whose output it takes."""
    nodes = [helper.make_node("Relu", ["h"], ["y"]), helper.make_node("Neg", ["x"], ["h"])]
    return models.model(nodes, [models.value("x")], [models.value("y")])


def _trees() -> Iterator[FileCase]:
    for depth in (4001, 5000, 20_000):
        yield refused(_TREES, f"{depth} branches", partial(models.tree, depth), COMPLEX)
    for depth in (1, 1000, 3900):
        yield taken(_TREES, f"{depth} branches", partial(models.tree, depth), feed([[1e9]], *ANSWERED))
    for what, values in {
        "a branch that leads to itself": ("nodes_falsenodeids", 0),
        "a branch that leads nowhere": ("nodes_falsenodeids", 77),
        "a branch to a negative place": ("nodes_truenodeids", -1),
        "a leaf that is not there": ("target_nodeids", 77),
        "a target that is not there": ("target_ids", 2**40),
        "a negative target": ("target_ids", -1),
        "a feature that is not there": ("nodes_featureids", 2**40),
    }.items():
        yield refused(_TREES, what, partial(bent_tree, *values))


def bent_tree(attribute: str, number: int) -> ModelProto:
    """A small tree of which the first entry of an attribute is another number."""
    made = models.tree(3)
    (found,) = [one for one in made.graph.node[0].attribute if one.name == attribute]
    found.ints[0] = number
    return made
