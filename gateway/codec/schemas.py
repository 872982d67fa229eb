"""The JSON of a version's predict route as JSON Schema (2020-12), for OpenAPI 3.1, with a body to begin with.

The schemas describe the named form, rows, and shape and data. JSON Schema has no words for symbolic dimensions that
must agree: those are in the descriptions.
"""

import math
from dataclasses import replace
from typing import Any, TypeAlias

from gateway.codec.body import INFINITE_WORDS
from gateway.codec.foreign_floats import words_of
from gateway.codec.limits import MAX_DEPTH, MAX_ID_CHARS
from registry.signature import Signature
from registry.tensor import MAX_RANK, SEQUENCE, DType, Shape, TensorSpec, map_key

Schema: TypeAlias = dict[str, Any]

_EXAMPLES = {"f": 0.5, "i": 1, "u": 1, "b": True, "O": "text"}


def request_schema(signature: Signature) -> Schema:
    """Return the schema of a predict body."""
    inputs: Schema = _object_of({spec.name: _value(spec) for spec in signature.inputs}, _required(signature))
    if len(signature.inputs) == 1 and signature.inputs[0].containers[:1] in ((), (SEQUENCE,)):
        inputs = {"anyOf": [inputs, _value(signature.inputs[0])]}
    properties: Schema = {
        "inputs": inputs,
        "id": {"type": "string", "maxLength": MAX_ID_CHARS, "description": "Given back in the answer."},
    }
    if signature.outputs:
        items = {"type": "string", "enum": [spec.name for spec in signature.outputs]}
        properties["outputs"] = {"type": "array", "items": items, "minItems": 1, "uniqueItems": True}
    if any((spec.shape == () and not spec.optional) or not spec.is_tensor for spec in signature.inputs):
        return _object_of(properties, ["inputs"])
    properties["instances"] = _instances(signature)
    return _object_of(properties, []) | {"oneOf": [{"required": ["inputs"]}, {"required": ["instances"]}]}


def response_schema(signature: Signature) -> Schema:
    """Return the schema of an answer; only the outputs that were asked for are in it."""
    properties: Schema = {
        "model": {"type": "string"},
        "version": {"type": "integer", "minimum": 1},
        "outputs": _object_of({spec.name: _value(spec) for spec in signature.outputs}, []),
        "id": {"type": "string"},
    }
    return _object_of(properties, ["model", "version", "outputs"])


def example_body(signature: Signature) -> dict[str, Any]:
    """Return a body that the version takes: every input without a default, free dimensions of size 1.

    An optional is given, since many a model fails without.
    """
    return {"inputs": {spec.name: _example(spec) for spec in signature.inputs if not spec.optional}}


def _required(signature: Signature) -> list[str]:
    return [spec.name for spec in signature.inputs if not spec.may_be_absent]


def _object_of(properties: Schema, required: list[str]) -> Schema:
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return schema | {"required": required} if required else schema


def _value(spec: TensorSpec) -> Schema:
    """Return the schema of one input or output, whatever it is wrapped in."""
    if spec.is_tensor:
        return _tensor(spec)
    inner = _value(replace(spec, containers=spec.containers[1:]))
    key = map_key(spec.containers[0])
    if key is not None:
        names: Schema = {} if key.kind == "O" else {"propertyNames": {"pattern": "^(0|-?[1-9][0-9]*)$"}}
        return {"description": str(spec), "type": "object", "additionalProperties": inner} | names
    if spec.containers[0] == SEQUENCE:
        return {"description": str(spec), "type": "array", "items": inner}
    return {"description": str(spec), "anyOf": [inner, {"type": "null"}]}


def _tensor(spec: TensorSpec) -> Schema:
    flat = _object_of(
        {
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": MAX_RANK},
            "data": {"type": "array", "items": _element(spec.dtype)},
        },
        ["shape", "data"],
    )
    return {"description": str(spec), "anyOf": [_lists(spec.dtype, spec.shape), flat]}


def _instances(signature: Signature) -> Schema:
    schema: Schema = {"type": "array", "description": "Rows, stacked along a new first axis."}
    if len(signature.inputs) == 1:
        return schema | {"items": _row(signature.inputs[0])}
    rows = {spec.name: _row(spec) for spec in signature.inputs if spec.shape != ()}
    return schema | {"items": _object_of(rows, _required(signature)), "minItems": 1}


def _row(spec: TensorSpec) -> Schema:
    return _lists(spec.dtype, spec.shape[1:] if spec.shape else None)


def _lists(dtype: DType, shape: Shape | None) -> Schema:
    if shape is None:
        return {"anyOf": [_element(dtype), {"type": "array"}]}
    schema = _element(dtype)
    for dim in reversed(shape):
        schema = {"type": "array", "items": schema}
        if isinstance(dim, int):
            schema |= {"minItems": dim, "maxItems": dim}
    return schema


def _element(dtype: DType) -> Schema:
    if dtype.kind == "f":
        words = words_of(dtype) if dtype.is_foreign else INFINITE_WORDS
        number: Schema = {"type": "number"}
        return {"anyOf": [number, {"type": "string", "enum": list(words)}]} if words else number
    if dtype.kind in "iu":
        return {"type": "integer", "minimum": dtype.least, "maximum": dtype.most}
    return {"type": "boolean"} if dtype.kind == "b" else {"type": "string"}


def _example(spec: TensorSpec) -> Any:
    if not spec.is_tensor:
        inner = _example(replace(spec, containers=spec.containers[1:]))
        key = map_key(spec.containers[0])
        if key is not None:
            return {("key" if key.kind == "O" else "0"): inner}
        return [inner] if spec.containers[0] == SEQUENCE else inner
    dims: Shape = (None,) if spec.shape is None else spec.shape
    shape = tuple(dim if isinstance(dim, int) else 1 for dim in dims)
    element = _EXAMPLES[spec.dtype.kind]
    if 0 in shape[:-1] or len(shape) + 2 > MAX_DEPTH:
        return {"shape": list(shape), "data": [element] * math.prod(shape)}
    nested: Any = element
    for size in reversed(shape):
        nested = [nested] * size
    return nested
