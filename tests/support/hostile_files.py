"""Files that must be refused, each by the limit that it tests, and what the refusal says."""

import gzip
import io
import pickle  # noqa: TID251 - one is sent, to be refused
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, helper

from tests.support import models

Source = Callable[[], ModelProto | bytes]


@dataclass(frozen=True, slots=True)
class Hostile:
    """A file, the code that refuses it, and how the refusal's detail begins."""

    source: Source
    code: str
    says: str

    def octets(self) -> bytes:
        built = self.source()
        return built if isinstance(built, bytes) else built.SerializeToString()


def changed(change: Callable[[ModelProto], object]) -> Source:
    def build() -> ModelProto:
        source = models.linear()
        change(source)
        return source

    return build


def empty_tensors() -> bytes:
    graph = b"\x2a\x00" * (2 << 20)
    return b"\x3a\x80\x80\x80\x02" + graph


def relu_chain(length: int) -> ModelProto:
    nodes = [helper.make_node("Relu", [f"h{step}"], [f"h{step + 1}"]) for step in range(length)]
    return models.model(nodes, [models.value("h0")], [models.value(f"h{length}")])


def many_inputs(count: int) -> ModelProto:
    names = [f"x{number}" for number in range(count)]
    return models.model([helper.make_node("Sum", names, ["y"])], [models.value(name) for name in names], [])


def nested_types(depth: int) -> ModelProto:
    kind = helper.make_tensor_type_proto(1, None)
    for _ in range(depth):
        kind = helper.make_sequence_type_proto(kind)
    source = models.identity()
    source.graph.input[0].type.CopyFrom(kind)
    return source


def renamed(name: str) -> Source:
    def change(source: ModelProto) -> None:
        source.graph.input[0].name = source.graph.node[0].input[0] = name

    return changed(change)


def in_file(location: str) -> Source:
    return changed(lambda source: models.make_external(source.graph.initializer[0], location).ClearField("raw_data"))


def duplicate_node(source: ModelProto) -> None:
    source.graph.node.append(source.graph.node[0])


def cycle() -> ModelProto:
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    return models.model(nodes, [models.value("x")], [models.value("a")])


def nested_sequences(depth: int) -> ModelProto:
    kind = helper.make_tensor_type_proto(1, None)
    for _ in range(depth):
        kind = helper.make_sequence_type_proto(kind)
    source = models.identity()
    source.graph.output[0].type.CopyFrom(kind)
    return source


_TOO_MANY_PARTS = "the model has more than 500000 parts, or parts nested deeper than 64"
_TOO_MANY_ENDS = "the model has more than 1024 inputs and outputs: join them into fewer tensors"
_WRONG_LENGTH = "a tensor's data does not have the length that its dimensions [4, 3] ask for"
_OVERFLOWN = (
    "a tensor's data does not have the length that its dimensions [4, 3, 4611686018427387904, 4611686018427387904] "
    "ask for"
)
_TOO_WRAPPED = "the output 'y' is wrapped in more than 4 containers"
_RUNTIME_SAYS = "ONNX Runtime cannot load the model: "


def elsewhere(location: str) -> str:
    """Return what is said of a weight in a file that did not come."""
    return (
        f"the model keeps weights in a file '{location}' that did not come with it. Upload the .onnx file together "
        "with the files that its weights are in, under the names that it knows them by, or make it one file: "
        "onnx.save(onnx.load('model.onnx'), 'single.onnx', save_as_external_data=False)"
    )


def misnamed(shown: str) -> str:
    """Return what is said of a tensor's name that cannot be shown."""
    return f"an input or output is called '{shown}': names are 1 to 256 bytes of printable UTF-8"


def strange(operator: str) -> str:
    """Return what is said of an operator that nobody knows."""
    return (
        f"the model uses the operator '{operator}', which is neither standard ONNX nor a function of the model "
        "itself: export it with standard operators, or with its functions inside"
    )


def _kept_in(location: str) -> Hostile:
    return Hostile(in_file(location), "external_data", elsewhere(location))


def _unloadable(what: str, change: Callable[[ModelProto], object]) -> Hostile:
    """A linear model with one thing wrong that only the runtime notices."""
    return Hostile(changed(change), "invalid_model", _RUNTIME_SAYS + what)


REFUSED: dict[str, Hostile] = {
    "functions that mean a thousand million nodes": Hostile(
        lambda: models.calls(30), "too_complex", "with its functions expanded the model has more than 50000 nodes"
    ),
    "functions that call each other": Hostile(
        models.recursion, "invalid_model", "a function of the model calls itself"
    ),
    "a tree of 100,000 branches": Hostile(
        lambda: models.tree(100_000), "too_complex", "a tree of the model's ensemble is more than 4000 branches deep"
    ),
    "a chain of 100,000 nodes": Hostile(
        lambda: relu_chain(100_000), "too_complex", "the model has more than 50000 nodes"
    ),
    "two million empty messages": Hostile(empty_tensors, "too_complex", _TOO_MANY_PARTS),
    "branches nested thirty deep": Hostile(lambda: models.nested_ifs(30), "too_complex", _TOO_MANY_PARTS),
    "types nested deep": Hostile(lambda: nested_types(70), "too_complex", _TOO_MANY_PARTS),
    "10,000 inputs": Hostile(lambda: many_inputs(10_000), "unsupported_signature", _TOO_MANY_ENDS),
    "no outputs": Hostile(
        changed(lambda source: source.graph.ClearField("output")),
        "unsupported_signature",
        "the model has no outputs, so that there is nothing to answer",
    ),
    "lists of lists of lists": Hostile(lambda: nested_sequences(5), "unsupported_signature", _TOO_WRAPPED),
    "a list that the graph does not make": Hostile(
        lambda: nested_sequences(1), "invalid_model", "ONNX Runtime cannot load the model: "
    ),
    "data too short": Hostile(
        changed(lambda source: setattr(source.graph.initializer[0], "raw_data", b"1234")),
        "invalid_model",
        _WRONG_LENGTH,
    ),
    "dimensions that overflow": Hostile(
        changed(lambda source: source.graph.initializer[0].dims.extend([2**62, 2**62])), "invalid_model", _OVERFLOWN
    ),
    "data in two places": Hostile(
        changed(lambda source: source.graph.initializer[0].float_data.extend([0.0] * 12)),
        "invalid_model",
        "a tensor has its data in two places at once",
    ),
    "a weight in /etc/passwd": _kept_in("/etc/passwd"),
    "a weight above its folder": _kept_in("../model.onnx.data"),
    "a weight in /proc": _kept_in("../../../../proc/self/environ"),
    "a weight in a device": _kept_in("/dev/zero"),
    "a weight in memory": _kept_in("*/_ORT_MEM_ADDR_/*"),
    "a weight in a file that did not come": _kept_in("model.onnx.data"),
    "a name of two lines": Hostile(
        renamed("x\n\x1b[31mlevel=error"), "invalid_tensor_name", misnamed(r"x\x0a\x1b[31mlevel=error")
    ),
    "a name with a NUL": Hostile(renamed("x\0y"), "invalid_tensor_name", misnamed(r"x\x00y")),
    "a name of a mebibyte": Hostile(renamed("x" * (1 << 20)), "invalid_tensor_name", misnamed("x" * 64 + "...")),
    "an operator that names a file": Hostile(
        changed(
            lambda source: source.graph.node[0].MergeFrom(helper.make_node("EPContext", [], [], domain="com.microsoft"))
        ),
        "unsupported_operator",
        strange("com.microsoft.EPContext"),
    ),
    "an unknown domain": Hostile(
        changed(lambda source: setattr(source.graph.node[0], "domain", "com.example")),
        "unsupported_operator",
        strange("com.example.Gemm"),
    ),
    "an unknown operator": _unloadable(
        "INVALID_GRAPH", lambda source: setattr(source.graph.node[0], "op_type", "Nope")
    ),
    "an opset of the future": _unloadable("FAIL", lambda source: setattr(source.opset_import[0], "version", 9999)),
    "a format version of the future": _unloadable("FAIL", lambda source: setattr(source, "ir_version", 9999)),
    "two nodes with one output": _unloadable("FAIL", duplicate_node),
    "a cycle": Hostile(cycle, "invalid_model", _RUNTIME_SAYS + "FAIL"),
    "a constant that crashes who folds it": Hostile(
        models.folded_division,
        "inspection_crashed",
        "the model crashed its process (SIGFPE) while ONNX Runtime loaded it",
    ),
    "a constant that fills memory": Hostile(
        lambda: models.folded_doubling(20), "inspection_memory", "loading the model takes more memory than it may"
    ),
    "noise": Hostile(
        lambda: bytes(range(1, 256)),
        "invalid_model",
        "the file is not a whole ONNX model: it stops making sense at byte 0. Was it cut off on its way?",
    ),
    "an empty file": Hostile(lambda: b"", "invalid_model", "the file is empty"),
    "a file cut off": Hostile(
        lambda: models.linear().SerializeToString()[:-1],
        "invalid_model",
        "the file is not a whole ONNX model: it stops making sense at byte 176. Was it cut off on its way?",
    ),
}


def _zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model.onnx", models.linear().SerializeToString())
    return buffer.getvalue()


def _tarred() -> bytes:
    buffer, octets = io.BytesIO(), models.linear().SerializeToString()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("model.onnx")
        member.size = len(octets)
        archive.addfile(member, io.BytesIO(octets))
    return buffer.getvalue()


def _saved() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(4), allow_pickle=False)
    return buffer.getvalue()


def _foreign(source: Source, what: str, advice: str) -> Hostile:
    says = f"the file looks like {what}, not like an ONNX model: {advice}"
    return Hostile(source, "unsupported_format", says)


_EXPORT = "export the model to ONNX and send the .onnx file"
_UNPACK = "unpack it and send the .onnx file itself"

FOREIGN: dict[str, Hostile] = {
    "zip": _foreign(_zipped, "a zip archive (perhaps a PyTorch, Keras or .npz file)", _EXPORT),
    "tar": _foreign(_tarred, "a tar archive", _UNPACK),
    "gzip": _foreign(lambda: gzip.compress(models.linear().SerializeToString(), mtime=0), "gzip data", _UNPACK),
    "pickle": _foreign(
        lambda: pickle.dumps({"weights": [1.0]}), "a Python pickle (perhaps a PyTorch or joblib file)", _EXPORT
    ),
    "ort": _foreign(
        lambda: b"\x10\0\0\0ORTM" + bytes(60),
        "a model in ONNX Runtime's own .ort format",
        "send the .onnx file that it was made from",
    ),
    "npy": _foreign(_saved, "a numpy array", "send the .onnx file"),
}
"""What people upload by mistake; none of it is ever unpacked."""
