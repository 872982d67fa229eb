"""The Open Inference Protocol over gRPC: ModelInfer, with all tensors as raw contents."""

from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np

from gateway.rpc.schema import PACKAGE, SERVICE, message_class
from tests.conformance.open_inference import DATATYPES, from_bytes, to_bytes
from tests.conformance.values import Value, name_of
from tests.conformance.wires import PLAIN, RefusedError

_METHOD = f"/{PACKAGE}.{SERVICE}/ModelInfer"
_SECONDS = 60


class Grpc:
    """``ModelInfer`` of version 1.

    Args:
        channel: to the gateway.
    """

    name = "gRPC"
    one_nan = False
    types = PLAIN | {"bfloat16"}

    def __init__(self, channel: grpc.Channel) -> None:
        request, response = message_class("ModelInferRequest"), message_class("ModelInferResponse")
        self._request = request
        self._infer = channel.unary_unary(
            _METHOD, request_serializer=request.SerializeToString, response_deserializer=response.FromString
        )

    def predict(self, model: str, inputs: Mapping[str, Value], like: Mapping[str, Value]) -> dict[str, Value]:
        """Run version 1 of a model."""
        request = self._request(model_name=model, model_version="1")
        for name, array in inputs.items():
            if isinstance(array, np.ndarray):
                request.inputs.add(name=name, datatype=DATATYPES[name_of(array)], shape=array.shape)
                request.raw_input_contents.append(to_bytes(array))
        try:
            answer = self._infer(request, timeout=_SECONDS)
        except grpc.RpcError as error:
            raise RefusedError(str(error)) from error
        outputs = _read(answer)
        if list(outputs) != list(like):
            raise RefusedError(f"outputs {list(like)} came as {list(outputs)}")
        return outputs


def _read(answer: Any) -> dict[str, Value]:
    pairs = zip(answer.outputs, answer.raw_output_contents, strict=True)
    return {tensor.name: from_bytes(octets, tensor.datatype, tuple(tensor.shape)) for tensor, octets in pairs}
