"""kserve's inference clients, REST in both versions and gRPC: ``kserve_client.py URL TOKEN GRPC_ADDRESS``."""

import asyncio
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from jobs import do, named, spell_all, without_its_server

without_its_server("kserve")

from kserve.inference_client import InferenceGRPCClient, InferenceRESTClient, RESTConfig  # noqa: E402
from kserve.protocol.infer_type import InferInput, InferRequest, RequestedOutput  # noqa: E402

X = np.array([[1.5, -2.25, 0.1, 3.0], [4.0, -0.0, 7.0, 1e38]], np.float32)
PAIR = {"a": np.array([[1.5, 2]], np.float32), "b": np.array([[3, -4]], np.float32)}


@dataclass(frozen=True)
class Tool:
    """Where the server is, and what it wants to see."""

    url: str
    headers: dict[str, str]
    grpc_address: str

    def rest(self, protocol: str, job: str, *arguments: Any, **options: Any) -> Any:
        async def ask() -> Any:
            async with InferenceRESTClient(RESTConfig(protocol=protocol)) as client:
                return await getattr(client, job)(self.url, *arguments, headers=dict(self.headers), **options)

        return asyncio.run(ask())

    def grpc(self, job: str, *arguments: Any) -> Any:
        async def ask() -> Any:
            async with InferenceGRPCClient(self.grpc_address) as client:
                return await getattr(client, job)(*arguments, headers=tuple(self.headers.items()))

        return asyncio.run(ask())


def given(array: Any, datatype: str, *, name: str = "x", binary: bool) -> InferInput:
    made = InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def asked(model: str, array: Any, datatype: str, *, binary: bool) -> InferRequest:
    return InferRequest(
        model,
        [given(array, datatype, binary=binary)],
        request_id="first",
        parameters={"binary_data_output": binary},
    )


def outputs_of(response: Any) -> Any:
    return spell_all({output.name: output.as_numpy() for output in response.outputs})


def v1_server_live(tool: Tool) -> Any:
    return tool.rest("v1", "is_server_live")


def v1_model_ready(tool: Tool) -> Any:
    return tool.rest("v1", "is_model_ready", "linear")


def v1_unknown_model_ready(tool: Tool) -> Any:
    return tool.rest("v1", "is_model_ready", "nobody")


def v1_predict(tool: Tool) -> Any:
    return tool.rest("v1", "infer", {"instances": X.tolist()}, model_name="linear")


def v1_predict_columns(tool: Tool) -> Any:
    return tool.rest("v1", "infer", {"inputs": {"x": X.tolist()}}, model_name="linear")


def v1_wrong_shape(tool: Tool) -> Any:
    return tool.rest("v1", "infer", {"instances": [[1, 2]]}, model_name="linear")


def v2_server(tool: Tool) -> Any:
    return [tool.rest("v2", "is_server_live"), tool.rest("v2", "is_server_ready")]


def v2_model_ready(tool: Tool) -> Any:
    return [tool.rest("v2", "is_model_ready", name) for name in ("linear", "nobody")]


def v2_infer_json(tool: Tool) -> Any:
    response = tool.rest("v2", "infer", asked("linear", X, "FP32", binary=False), model_name="linear")
    return [response.model_name, response.model_version, response.id, outputs_of(response)]


def v2_infer_binary(tool: Tool) -> Any:
    response = tool.rest("v2", "infer", asked("linear", X, "FP32", binary=True), model_name="linear")
    return [response.model_name, response.model_version, response.id, outputs_of(response)]


def v2_infer_dictionary(tool: Tool) -> Any:
    tensor = {"name": "x", "shape": [2, 4], "datatype": "FP32", "data": X.tolist()}
    return outputs_of(tool.rest("v2", "infer", {"inputs": [tensor]}, model_name="linear"))


def v2_infer_dtypes(tool: Tool) -> Any:
    inputs = [
        given(X, "FP32", name="float32", binary=False),
        given(np.array([[0.1, 5e-324]]), "FP64", name="float64", binary=False),
        given(np.array([[1.5, 6e-8]], np.float16), "FP16", name="float16", binary=True),
        given(np.array([[2**63 - 1, -(2**63)]]), "INT64", name="int64", binary=False),
        given(np.array([[0, 255]], np.uint8), "UINT8", name="uint8", binary=True),
        given(np.array([[True, False]]), "BOOL", name="bool", binary=False),
        given(np.array([["ä", "two words"]], np.object_), "BYTES", name="string", binary=False),
    ]
    request = InferRequest("same", inputs, parameters={"binary_data_output": True})
    return outputs_of(tool.rest("v2", "infer", request, model_name="same"))


def v2_one_output(tool: Tool) -> Any:
    inputs = [given(array, "FP32", name=name, binary=False) for name, array in PAIR.items()]
    request = InferRequest("two", inputs, request_outputs=[RequestedOutput("difference")])
    return outputs_of(tool.rest("v2", "infer", request, model_name="two"))


def v2_wrong_shape(tool: Tool) -> Any:
    request = asked("linear", X[:, :3], "FP32", binary=False)
    return outputs_of(tool.rest("v2", "infer", request, model_name="linear"))


def grpc_server(tool: Tool) -> Any:
    return [tool.grpc("is_server_live"), tool.grpc("is_server_ready"), tool.grpc("is_model_ready", "linear")]


def grpc_infer(tool: Tool) -> Any:
    response = tool.grpc("infer", InferRequest("linear", [given(X, "FP32", binary=True)], request_id="first"))
    return [response.model_name, response.model_version, response.id, outputs_of(response)]


def grpc_infer_contents(tool: Tool) -> Any:
    return outputs_of(tool.grpc("infer", InferRequest("linear", [given(X, "FP32", binary=False)])))


REST_JOBS = named(
    v1_server_live,
    v1_model_ready,
    v1_unknown_model_ready,
    v1_predict,
    v1_predict_columns,
    v1_wrong_shape,
    v2_server,
    v2_model_ready,
    v2_infer_json,
    v2_infer_binary,
    v2_infer_dictionary,
    v2_infer_dtypes,
    v2_one_output,
    v2_wrong_shape,
)
GRPC_JOBS = named(grpc_server, grpc_infer, grpc_infer_contents)

if __name__ == "__main__":
    url, token, grpc_address = sys.argv[1:]
    do(REST_JOBS | GRPC_JOBS, Tool(url, {"authorization": f"Bearer {token}"}, grpc_address))
