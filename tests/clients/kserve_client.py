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


def asked(model: str, array: Any, datatype: str, *, binary: bool, outputs: Any = None) -> InferRequest:
    return InferRequest(
        model,
        [given(array, datatype, binary=binary)],
        request_id="first",
        request_outputs=outputs,
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
    arrays = {
        "same-int64": (np.array([[2**63 - 1, -(2**63)]]), "INT64", False),
        "same-bool": (np.array([[True, False]]), "BOOL", False),
        "same-float16": (np.array([[1.5, 6e-8]], np.float16), "FP16", True),
        "same-string": (np.array([["ä", "two words"]], np.object_), "BYTES", False),
    }
    answers = {}
    for model, (array, datatype, binary) in arrays.items():
        request = asked(model, array, datatype, binary=binary)
        answers[model] = outputs_of(tool.rest("v2", "infer", request, model_name=model))
    return answers


def v2_one_output(tool: Tool) -> Any:
    x = np.array([2, -3], np.float32)
    request = asked("two", x, "FP32", binary=False, outputs=[RequestedOutput("square")])
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
