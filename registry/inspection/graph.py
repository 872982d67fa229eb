"""A parsed graph read as a signature: the only module that speaks ONNX's own words.

Runs in the inspection child, after the wire-level scan.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # it ships no types

from registry.errors import InvalidArtifact
from registry.inspection.flow import is_bounded
from registry.inspection.growth import grows
from registry.inspection.limits import WireLimits
from registry.inspection.row_flow import find_meeting
from registry.names import quoted
from registry.signature import Signature
from registry.tensor import (
    DTYPE_OF_ONNX_CODE,
    DTYPES,
    OPTIONAL,
    SEQUENCE,
    Dim,
    DType,
    Shape,
    TensorSpec,
    map_of,
)

METADATA_BYTES: Final = 64 * 1024
"""Of all keys and values together; what goes beyond is cut and ends in CUT_MARK."""

CUT_MARK: Final = "... (cut)"

_MAX_SYMBOL_BYTES = 128
_NO_SYMBOLS = frozenset({"none", "unk", "unknown"})
_MAX_PRODUCER_CHARACTERS = 256
_IR_WITH_OPTIONAL_INPUTS = 4
"""Before IR version 4 every initialiser had to be listed as an input too, and the runtime takes them as constants."""

_MOST_CONTAINERS = 4
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphFacts:
    """What the graph says of itself."""

    signature: Signature
    opset_imports: Mapping[str, int]
    producer: str
    metadata: Mapping[str, str]
    is_bounded: bool
    operators: frozenset[str]
    """The names of all that it uses, in subgraphs and functions, too."""


def read_graph(path: Path, limits: WireLimits | None = None) -> GraphFacts:
    """Parse an ONNX file that the wire-level scan has let pass, without its external data.

    Raises:
        InvalidArtifact: ``invalid_model`` where it cannot be parsed; ``unsupported_signature`` where an input or output
            is not a tensor of a known dtype, or there are none or too many.
    """
    try:
        model = onnx.load(path, load_external_data=False)
        return GraphFacts(
            signature=_signature(model, limits or WireLimits()),
            opset_imports=_opset_imports(model),
            producer=f"{_text(model.producer_name)} {_text(model.producer_version)}".strip()[:_MAX_PRODUCER_CHARACTERS],
            metadata=_metadata(model),
            is_bounded=is_bounded(model) and not grows(model),
            operators=frozenset(_operators(model)),
        )
    except (DecodeError, UnicodeDecodeError) as error:
        raise InvalidArtifact("invalid_model", "the file cannot be parsed as an ONNX model") from error


def read_meeting(path: Path) -> str:
    """Return where a graph takes its rows together (``row_flow``); empty if that is not seen, or cannot be told."""
    try:
        return find_meeting(onnx.load(path, load_external_data=False))
    except Exception:  # noqa: BLE001 - shape inference raises whatever it likes; trying is left to find out
        return ""


def _operators(model: onnx.ModelProto) -> Iterator[str]:
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    while nodes:
        node = nodes.pop()
        yield _decoded(node.op_type)
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                nodes.extend(graph.node)


def _signature(model: onnx.ModelProto, limits: WireLimits) -> Signature:
    graph = model.graph
    defaults = {tensor.name for tensor in graph.initializer}
    defaults |= {tensor.values.name for tensor in graph.sparse_initializer}
    can_override = model.ir_version >= _IR_WITH_OPTIONAL_INPUTS
    signature = Signature(
        inputs=tuple(
            _spec(value, "input", optional=value.name in defaults)
            for value in graph.input
            if can_override or value.name not in defaults
        ),
        outputs=tuple(_spec(value, "output") for value in graph.output),
    )
    _check_counts(signature, limits)
    return signature


def _check_counts(signature: Signature, limits: WireLimits) -> None:
    if not signature.outputs:
        raise InvalidArtifact("unsupported_signature", "the model has no outputs, so that there is nothing to answer")
    count = len(signature.inputs) + len(signature.outputs)
    if count > limits.interface:
        raise InvalidArtifact(
            "unsupported_signature",
            f"the model has {count} inputs and outputs, more than {limits.interface}: join them into fewer tensors, "
            "and export without keep_initializers_as_inputs",
        )
    for specs in (signature.inputs, signature.outputs):
        names = [spec.name for spec in specs]
        if len(set(names)) < len(names):
            raise InvalidArtifact("invalid_model", "two inputs or two outputs have the same name")


def _spec(value: onnx.ValueInfoProto, role: str, *, optional: bool = False) -> TensorSpec:
    containers: list[str] = []
    tensor = _unwrap(value.type, f"the {role} {quoted(value.name)}", containers)
    return TensorSpec(
        name=value.name,
        dtype=_dtype(tensor.elem_type, value.name, role),
        shape=_shape(tensor.shape) if tensor.HasField("shape") else None,
        optional=optional,
        containers=tuple(containers),
    )


def _unwrap(type_: onnx.TypeProto, what: str, containers: list[str]) -> onnx.TypeProto.Tensor:
    """Return the tensor inside, and append what it is wrapped in, from outside in."""
    kind = type_.WhichOneof("value")
    if kind == "tensor_type":
        return type_.tensor_type
    if len(containers) == _MOST_CONTAINERS:
        raise InvalidArtifact("unsupported_signature", f"{what} is wrapped in more than {_MOST_CONTAINERS} containers")
    if kind == "sequence_type":
        containers.append(SEQUENCE)
        return _unwrap(type_.sequence_type.elem_type, what, containers)
    if kind == "optional_type":
        containers.append(OPTIONAL)
        return _unwrap(type_.optional_type.elem_type, what, containers)
    if kind == "map_type":
        key = DTYPE_OF_ONNX_CODE.get(type_.map_type.key_type)
        if key is None or key.kind not in "iuO" or key.is_foreign:
            raise InvalidArtifact("unsupported_signature", f"{what} is a map whose keys are neither integers nor text")
        containers.append(map_of(key))
        return _unwrap(type_.map_type.value_type, what, containers)
    said = (kind or "nothing").removesuffix("_type").replace("_", " ")
    advice = "Make it a tensor, a sequence, a map or an optional in the graph"
    raise InvalidArtifact("unsupported_signature", f"{what} is of type {said}. {advice}")


def _dtype(code: int, name: str, role: str) -> DType:
    dtype = DTYPE_OF_ONNX_CODE.get(code)
    if dtype is None:
        known = onnx.TensorProto.DataType.values()
        spelled = onnx.TensorProto.DataType.Name(code).lower() if code in known else str(code)
        raise InvalidArtifact(
            "unsupported_signature",
            f"the {role} {quoted(name)} has the element type {spelled}: cast it in the graph to one of "
            + ", ".join(DTYPES),
        )
    return dtype


def _shape(shape: onnx.TensorShapeProto) -> Shape:
    return tuple(_dim(dim) for dim in shape.dim)


def _dim(dim: onnx.TensorShapeProto.Dimension) -> Dim:
    """Return a size, a name, or None where the graph leaves it open.

    Exporters write -1, or a name such as ``?`` that is no identifier of anything, for a size that they do not know; two
    of those need not be equal.
    """
    kind = dim.WhichOneof("value")
    if kind == "dim_value":
        return dim.dim_value if dim.dim_value >= 0 else None
    name = _decoded(dim.dim_param) if kind == "dim_param" else ""
    is_symbol = (
        name.isprintable()
        and _REPLACEMENT not in name
        and any(map(str.isalpha, name))
        and name.lower() not in _NO_SYMBOLS
    )
    return name if is_symbol and len(name.encode()) <= _MAX_SYMBOL_BYTES else None


def _opset_imports(model: onnx.ModelProto) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in model.opset_import:
        domain = _text(entry.domain) or "ai.onnx"
        found[domain] = max(entry.version, found.get(domain, 0))
    return found


def _metadata(model: onnx.ModelProto) -> dict[str, str]:
    return dict(_cut(((_text(entry.key), _text(entry.value)) for entry in model.metadata_props), METADATA_BYTES))


def _cut(entries: Iterator[tuple[str, str]], room_bytes: int) -> Iterator[tuple[str, str]]:
    for key, value in entries:
        room_bytes -= len(key.encode())
        if room_bytes <= 0:
            return
        octets = value.encode()
        if len(octets) > room_bytes:
            value = octets[: max(0, room_bytes - len(CUT_MARK))].decode(errors="ignore") + CUT_MARK  # noqa: PLW2901 - the cut value takes the whole one's place
        yield key, value
        room_bytes -= len(value.encode())


def _text(text: str | bytes) -> str:
    """Return text that any database and any log can hold: control characters but for white space become U+FFFD."""
    return _decoded(text).translate(_CONTROL)


def _decoded(text: str | bytes) -> str:
    """Return text; the library gives what is no UTF-8 as bytes, and the runtime does not mind it."""
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text


_CONTROL = {code: _REPLACEMENT for code in (*range(32), 127) if chr(code) not in "\t\n\r"}
