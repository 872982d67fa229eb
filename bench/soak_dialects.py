"""One question in every dialect: how it is asked over HTTP, and what an answer tells, whatever its form."""

import gzip
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from bench.http_connection import JSON_BODY, Answer
from bench.soak_models import Rows
from gateway.rpc.schema import message_class

NPY = "application/x-npy"
HEAD_LENGTH = "inference-header-content-length"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an answer says: which version it is of, in the body where that has a word for it, and the output's bytes."""

    version: str | None
    """By the headers, as is the digest."""
    digest: str | None
    output: bytes
    body_model: str | None = None
    body_version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One form of request and answer over HTTP."""

    name: str
    path: str
    """With ``{model}`` in it; leads to whatever is promoted."""
    encode: Callable[[Rows], bytes]
    head: Callable[[Rows], Mapping[str, str]] = lambda _rows: JSON_BODY
    """The headers that go with the body."""
    read: Callable[[Answer], tuple[Any, str | None, str | None]]
    """Return the numbers, and the model and the version that the body names."""

    def told(self, answer: Answer) -> Told:
        """Return what a good answer says.

        Raises:
            ValueError, KeyError, TypeError: it is none.
        """
        numbers, model, version = self.read(answer)
        return Told(
            version=answer.headers.get("x-model-version"),
            digest=answer.headers.get("x-model-digest"),
            output=np.ascontiguousarray(numbers, np.float32).tobytes(),
            body_model=model,
            body_version=version,
        )


def rpc_request(model: str, rows: Rows) -> Any:
    """Return the question as gRPC has it."""
    request = message_class("ModelInferRequest")(model_name=model)
    request.inputs.add(name="x", datatype="FP32", shape=rows.shape)
    request.raw_input_contents.append(rows.tobytes())
    return request


def told_by_rpc(answer: Any, trailing: Mapping[str, str]) -> Told:
    """Return what a good answer over gRPC says.

    Raises:
        ValueError: it is none.
    """
    (output,) = answer.raw_output_contents
    return Told(
        version=trailing.get("x-model-version"),
        digest=trailing.get("x-model-digest"),
        output=output,
        body_model=answer.model_name,
        body_version=answer.model_version,
    )


def _native(rows: Rows) -> bytes:
    return orjson.dumps({"inputs": {"x": rows.tolist()}})


def _read_native(answer: Answer) -> tuple[Any, str | None, str | None]:
    body = orjson.loads(answer.body)
    (numbers,) = body["outputs"].values()
    return numbers, body["model"], str(body["version"])


def _npy(rows: Rows) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, rows, allow_pickle=False)
    return file.getvalue()


def _read_npy(answer: Answer) -> tuple[Any, str | None, str | None]:
    return np.lib.format.read_array(io.BytesIO(answer.body), allow_pickle=False), None, None


def _open_inference(rows: Rows) -> bytes:
    tensor = {"name": "x", "shape": rows.shape, "datatype": "FP32", "data": rows.ravel().tolist()}
    return orjson.dumps({"inputs": [tensor]})


def _read_open_inference(answer: Answer) -> tuple[Any, str | None, str | None]:
    body = orjson.loads(answer.body)
    (tensor,) = body["outputs"]
    return tensor["data"], body["model_name"], body["model_version"]


def _binary_head(rows: Rows) -> bytes:
    tensor = {"name": "x", "shape": rows.shape, "datatype": "FP32", "parameters": {"binary_data_size": rows.nbytes}}
    return orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})


def _read_binary(answer: Answer) -> tuple[Any, str | None, str | None]:
    cut = int(answer.headers[HEAD_LENGTH])
    body = orjson.loads(answer.body[:cut])
    return np.frombuffer(answer.body[cut:], np.float32), body["model_name"], body["model_version"]


def _rows(rows: Rows) -> bytes:
    return orjson.dumps({"instances": rows.tolist()})


NATIVE = Dialect(name="native JSON", path="/models/{model}/predict", encode=_native, read=_read_native)
DIALECTS = (
    NATIVE,
    Dialect(
        name="native JSON, gzip",
        path=NATIVE.path,
        encode=lambda rows: gzip.compress(_native(rows), mtime=0),
        read=_read_native,
        head=lambda _rows: {**JSON_BODY, "content-encoding": "gzip"},
    ),
    Dialect(
        name="npy",
        path=NATIVE.path,
        encode=_npy,
        read=_read_npy,
        head=lambda _rows: {"content-type": NPY, "accept": NPY},
    ),
    Dialect(name="OIP JSON", path="/v2/models/{model}/infer", encode=_open_inference, read=_read_open_inference),
    Dialect(
        name="OIP binary",
        path="/v2/models/{model}/infer",
        encode=lambda rows: _binary_head(rows) + rows.tobytes(),
        read=_read_binary,
        head=lambda rows: {"content-type": "application/octet-stream", HEAD_LENGTH: str(len(_binary_head(rows)))},
    ),
    Dialect(
        name="TensorFlow",
        path="/v1/models/{model}:predict",
        encode=_rows,
        read=lambda answer: (orjson.loads(answer.body)["predictions"], None, None),
    ),
)
