"""A model's graph without its weights, made in a child process: small enough to be looked at in a browser.

1. A tensor of more than 256 bytes keeps its name, its type and its dimensions, and says that its data is elsewhere: in
   initialisers, sparse ones, constants and all other attributes, in subgraphs and functions alike.
2. Lists of attributes (trees keep their weights there) are cut after 64 elements, and the attribute says so; texts are
   cut as well. Names are never: they are what holds a graph together.
3. What belongs to training, and what this version of ONNX does not know, is left out.
4. The whole has at most 16 MiB. Where it has more, texts are cut shorter and inner shapes are left out; where that does
   not help it is refused: names alone take so much in no honest model.

Source: onnx.proto, TensorProto.data_location.
"""

from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any, Final

import onnx
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]  # it ships no types

from registry.errors import InvalidArtifact
from registry.storage import MOST_STRIPPED_BYTES, STRIPPED_GRAPH

LEFT_OUT: Final = "left-out"
"""What the data of a tensor is said to be in."""

MOST_DATA_BYTES: Final = 256
"""Of a tensor that keeps its data: shapes, axes and scales, which explain a graph."""

MOST_ELEMENTS: Final = 64
_TEXT_BYTES = 1024
_SHORT_TEXT_BYTES = 64
_CUT = "... (cut)"

_WIDTHS: Mapping[str, int] = {"float_data": 4, "int32_data": 4, "int64_data": 8, "double_data": 8, "uint64_data": 8}
_DATA = (*_WIDTHS, "string_data", "raw_data", "segment", "external_data")
_TEXTS = frozenset({"doc_string", "s", "value"})
_LISTS = frozenset({"ints", "floats", "strings"})


def write_skeleton(graph: Path, into: Path, limit_bytes: int = MOST_STRIPPED_BYTES) -> int:
    """Write the graph without its weights into a folder and return how many bytes it has.

    Args:
        graph: an ONNX file that the wire-level scan has let pass.
        into: the folder.
        limit_bytes: how many bytes it may have.

    Raises:
        InvalidArtifact: ``invalid_model`` where it cannot be parsed, ``too_complex`` by rule 4.
    """
    try:
        model = onnx.load(graph, load_external_data=False)
    except (DecodeError, UnicodeDecodeError) as error:
        raise InvalidArtifact("invalid_model", "the file cannot be parsed as an ONNX model") from error
    octets = strip(model, text_bytes=_TEXT_BYTES)
    if len(octets) > limit_bytes:
        _leave_out_shapes(model)
        octets = strip(model, text_bytes=_SHORT_TEXT_BYTES)
    if len(octets) > limit_bytes:
        detail = f"the model's graph has more than {limit_bytes} bytes even without weights"
        raise InvalidArtifact("too_complex", detail)
    (into / STRIPPED_GRAPH).write_bytes(octets)
    return len(octets)


def strip(model: onnx.ModelProto, *, text_bytes: int) -> bytes:
    """Take the weights out of a parsed model, in place, cut its long texts and lists, and return it serialised."""
    model.DiscardUnknownFields()
    model.ClearField("training_info")
    waiting: list[Message] = [model]
    while waiting:
        message = waiting.pop()
        if isinstance(message, onnx.TensorProto):
            _strip_tensor(message)
        elif isinstance(message, onnx.AttributeProto):
            _cut_lists(message)
        waiting.extend(_cut_texts(message, text_bytes))
    return bytes(model.SerializeToString())


def _strip_tensor(tensor: onnx.TensorProto) -> None:
    if tensor.data_location != onnx.TensorProto.EXTERNAL and not _is_large(tensor):
        return
    for name in _DATA:
        tensor.ClearField(name)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=LEFT_OUT)


def _is_large(tensor: onnx.TensorProto) -> bool:
    """Tell by the dimensions first: asking for raw data copies it."""
    if tensor.HasField("raw_data") and (
        prod(tensor.dims) > 8 * MOST_DATA_BYTES or len(tensor.raw_data) > MOST_DATA_BYTES
    ):
        return True
    texts = tensor.string_data
    if len(texts) > MOST_DATA_BYTES or sum(map(len, texts)) > MOST_DATA_BYTES:
        return True
    return any(len(getattr(tensor, name)) * width > MOST_DATA_BYTES for name, width in _WIDTHS.items())


def _cut_lists(attribute: onnx.AttributeProto) -> None:
    for name in _LISTS:
        values = getattr(attribute, name)
        count = len(values)
        if count > MOST_ELEMENTS:
            del values[MOST_ELEMENTS:]
            attribute.doc_string = f"{count} elements, of which the first {MOST_ELEMENTS} are here"


def _cut_texts(message: Message, text_bytes: int) -> Iterable[Message]:
    """Cut the texts of one message, and return those that are in it."""
    inner: list[Message] = []
    for field, value in message.ListFields():
        if field.message_type is not None:
            inner.extend(value if field.is_repeated else [value])
        elif field.name in _TEXTS and len(value) > text_bytes // 4:
            setattr(message, field.name, _cut(value, text_bytes))
        elif field.name == "strings":
            value[:] = [_cut(text, text_bytes) for text in value]
    return inner


def _cut(text: Any, most_bytes: int) -> Any:
    """Return text, or bytes that may be text, as they are if they are short enough."""
    octets = text.encode() if isinstance(text, str) else text
    if len(octets) <= most_bytes:
        return text
    kept = octets[: most_bytes - len(_CUT)].decode(errors="ignore") + _CUT
    return kept if isinstance(text, str) else kept.encode()


def _leave_out_shapes(model: onnx.ModelProto) -> None:
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        graph.ClearField("value_info")
        for node in graph.node:
            for attribute in node.attribute:
                graphs.extend([attribute.g] if attribute.HasField("g") else [])
                graphs.extend(attribute.graphs)
