"""A caller over gRPC, with messages of our own."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np

from gateway.codec.body import Array
from gateway.rpc.schema import PACKAGE, SERVICE, message_class

_SECONDS = 30


def infer_request(model: str, version: str = "", **inputs: tuple[str, Array]) -> Any:
    """Return a request with raw tensors: datatype and array by name."""
    request = message_class("ModelInferRequest")(model_name=model, model_version=version)
    for name, (datatype, array) in inputs.items():
        request.inputs.add(name=name, datatype=datatype, shape=array.shape)
        request.raw_input_contents.append(array.tobytes())
    return request


def floats(*values: float) -> tuple[str, Array]:
    """Return a tensor [n] of float32."""
    return "FP32", np.array(values, np.float32)


class RpcCaller:
    """One connection.

    Args:
        port: of the gateway.
        token: to present, if any.
        options: of the channel.
    """

    def __init__(self, port: int, token: str | None = None, **options: Any) -> None:
        named = [(f"grpc.{name}", value) for name, value in options.items()]
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1), *named])
        self._metadata = [] if token is None else [("authorization", f"Bearer {token}")]

    def call(self, method: str, request: Any = None, **options: Any) -> Any:
        """Return the answer to a call, raise grpc.RpcError otherwise."""
        return self.called(method, request, **options)[0]

    def called(self, method: str, request: Any = None, **options: Any) -> tuple[Any, dict[str, str]]:
        """Return the answer and its trailing metadata."""
        answer, call = self._stub(method).with_call(
            _asked(method, request), **{"timeout": _SECONDS, **self._with_token(options)}
        )
        return answer, dict(call.trailing_metadata())

    def refused(self, method: str, request: Any = None, **options: Any) -> tuple[str, str, dict[str, str]]:
        """Return status, message and trailing metadata of a call that is refused."""
        try:
            answer = self.call(method, request, **options)
        except grpc.RpcError as error:
            return error.code().name, error.details(), dict(error.trailing_metadata())
        raise AssertionError(f"it was answered: {answer}")

    def begin(self, method: str, request: Any = None, **options: Any) -> Any:
        """Return the future of a call."""
        return self._stub(method).future(_asked(method, request), **self._with_token(options))

    def stream(self, requests: Iterable[Any], **options: Any) -> Iterator[Any]:
        """Return the answers to a stream of infer requests."""
        stub = self.channel.stream_stream(
            f"/{PACKAGE}.{SERVICE}/ModelStreamInfer",
            request_serializer=_serialize,
            response_deserializer=message_class("ModelStreamInferResponse").FromString,
        )
        answers: Iterator[Any] = stub(iter(requests), **{"timeout": _SECONDS, **self._with_token(options)})
        return answers

    def _stub(self, method: str) -> Any:
        return self.channel.unary_unary(
            f"/{PACKAGE}.{SERVICE}/{method}",
            request_serializer=_serialize,
            response_deserializer=message_class(f"{method.removesuffix('Request')}Response").FromString,
        )

    def _with_token(self, options: dict[str, Any]) -> dict[str, Any]:
        return {**options, "metadata": [*self._metadata, *options.get("metadata", [])]}


@contextmanager
def calling(port: int, token: str | None = None, **options: Any) -> Iterator[RpcCaller]:
    """Give a caller with a connection of its own."""
    caller = RpcCaller(port, token, **options)
    try:
        yield caller
    finally:
        caller.channel.close()


def _asked(method: str, request: Any) -> Any:
    return message_class(f"{method}Request")() if request is None else request


def _serialize(message: Any) -> bytes:
    return message if isinstance(message, bytes) else bytes(message.SerializeToString())
