"""What the OpenAPI document says of the predict routes that speak other protocols, and of bodies that are no JSON.

The schemas are those of the protocols, not of a version: what is behind ``inputs`` is the model's. The typed ones are
those of our own routes.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gateway.codec.examples import open_inference_example, tensorflow_example
from gateway.web.documented import ALIAS_PATTERN, MODEL_PATTERN, REFUSAL
from gateway.web.tensor_forms import JSON, KINDS
from registry.names import PRODUCTION
from registry.records import Version

FILE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
FILES: Mapping[str, Any] = MappingProxyType(dict.fromkeys(KINDS, FILE))
"""What any predict route of ours takes and gives beside JSON."""

_BINARY = "application/octet-stream"
_MOST_VERSIONS = 10**9 - 1

_TENSORFLOW_BODY = {
    "type": "object",
    "properties": {
        "signature_name": {"type": "string"},
        "instances": {"type": "array", "description": "Rows; the answer has as many predictions."},
        "inputs": {"description": "Columns; the answer has outputs."},
    },
}
_TENSORFLOW_ANSWER = {
    "type": "object",
    "anyOf": [
        {"required": ["predictions"], "properties": {"predictions": {"type": "array"}}},
        {"required": ["outputs"]},
    ],
}
_OPEN_INFERENCE_BODY = {
    "type": "object",
    "properties": {"inputs": {"type": "array", "items": {"type": "object"}}},
}
_OPEN_INFERENCE_ANSWER = {
    "type": "object",
    "required": ["model_name", "model_version", "outputs"],
    "properties": {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "outputs": {"type": "array", "items": {"type": "object"}},
    },
}
_BYTES_AFTER_JSON = (
    "Where the header Inference-Header-Content-Length says how much of a body is JSON, the tensors are the bytes after"
    " that."
)


def dialect_operations(shown: Version | None) -> dict[str, Any]:
    """Return the predict routes of other protocols, by their paths; with examples for a version, if there is one."""
    tensorflow = None if shown is None else tensorflow_example(shown.signature)
    open_inference = None if shown is None else open_inference_example(shown.signature)
    name, number = _parameter("name", "iris" if shown is None else shown.model), 1 if shown is None else shown.number
    numbered = _parameter("version", number)
    named = _parameter("version", str(number)) | {"schema": {"type": "string", "minLength": 1}}
    routes = {
        "/v1/models/{name}:predict": _tensorflow("the default version", tensorflow, name),
        "/v1/models/{name}/versions/{version}:predict": _tensorflow("a version", tensorflow, name, numbered),
        "/v1/models/{name}/labels/{label}:predict": _tensorflow(
            "the version that an alias leads to", tensorflow, name, _parameter("label", PRODUCTION)
        ),
        "/v2/models/{name}/infer": _open_inference("the default version", open_inference, name),
        "/v2/models/{name}/versions/{version}/infer": _open_inference(
            "a version, or what an alias leads to", open_inference, name, named
        ),
    }
    return {path: {"post": operation | {"operationId": _id_of(path)}} for path, operation in routes.items()}


def _tensorflow(what: str, example: dict[str, Any] | None, *parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        "tags": ["TensorFlow Serving and KServe v1"],
        "summary": f"Predict with {what}",
        "parameters": list(parameters),
        "requestBody": {"required": True, "content": {JSON: _with_example(_TENSORFLOW_BODY, example)}},
        "responses": _answers({JSON: {"schema": _TENSORFLOW_ANSWER}}),
    }


def _open_inference(what: str, example: dict[str, Any] | None, *parameters: dict[str, Any]) -> dict[str, Any]:
    content = {JSON: _with_example(_OPEN_INFERENCE_BODY, example), _BINARY: FILE}
    return {
        "tags": ["open inference protocol"],
        "summary": f"Infer with {what}",
        "description": _BYTES_AFTER_JSON,
        "parameters": list(parameters),
        "requestBody": {"required": True, "content": content},
        "responses": _answers({JSON: {"schema": _OPEN_INFERENCE_ANSWER}, _BINARY: FILE}),
    }


def _answers(content: dict[str, Any]) -> dict[str, Any]:
    return {"200": {"description": "The answer", "content": content}, "default": REFUSAL}


def _with_example(schema: dict[str, Any], example: dict[str, Any] | None) -> dict[str, Any]:
    return {"schema": schema} if example is None else {"schema": schema, "example": example}


def _parameter(name: str, example: object) -> dict[str, Any]:
    kinds: dict[str, Any] = {
        "name": {"type": "string", "pattern": MODEL_PATTERN},
        "version": {"type": "integer", "minimum": 0, "maximum": _MOST_VERSIONS},
        "label": {"type": "string", "pattern": ALIAS_PATTERN},
    }
    return {"name": name, "in": "path", "required": True, "schema": kinds[name], "example": example}


def _id_of(path: str) -> str:
    return path.strip("/").replace("/", "_").replace(":", "_").translate({ord(sign): None for sign in "{}"})
