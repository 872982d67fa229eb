"""tritonclient.grpc: ``triton_grpc.py ADDRESS TOKEN``."""

import queue
import sys
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import tritonclient.grpc as triton
from jobs import do, named, refusal_of, spell_all
from tritonclient.utils import np_to_triton_dtype

X = np.array([[1.5, -2.25, 0.1, 3e-40], [np.inf, -0.0, 7.0, 1e38]], np.float32)
ARRAYS = {
    "float32": X,
    "float64": np.array([[0.1, 5e-324]]),
    "float16": np.array([[1.5, -0.0, 6e-8]], np.float16),
    "int64": np.array([[2**63 - 1, -(2**63), 9007199254740993]]),
    "uint8": np.array([[0, 255]], np.uint8),
    "bool": np.array([[True, False]]),
    "string": np.array([["ä", ""], ["two words", "x"]], np.object_),
}
PAIR = {"a": np.array([[1.5, 2]], np.float32), "b": np.array([[3, -4]], np.float32)}
BFLOAT16 = np.array([[1.5, -0.0, 3e38]], ml_dtypes.bfloat16)
LONGEST_WAIT = 30


@dataclass(frozen=True)
class Tool:
    """A client, and the metadata of each call."""

    client: triton.InferenceServerClient
    headers: dict[str, str]

    def ask(self, job: str, *arguments: Any, **options: Any) -> Any:
        return getattr(self.client, job)(*arguments, headers=self.headers, **options)

    def infer(self, *arguments: Any, **options: Any) -> Any:
        return outputs_of(self.ask("infer", *arguments, **options))


def given(array: Any, *, name: str = "x") -> triton.InferInput:
    return triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype)).set_data_from_numpy(array)


def outputs_of(result: Any) -> Any:
    return spell_all({output.name: result.as_numpy(output.name) for output in result.get_response().outputs})


def server(tool: Tool) -> Any:
    return [tool.ask("is_server_live"), tool.ask("is_server_ready")]


def server_metadata(tool: Tool) -> Any:
    return tool.ask("get_server_metadata", as_json=True)


def model_ready(tool: Tool) -> Any:
    return [tool.ask("is_model_ready", "linear"), tool.ask("is_model_ready", "linear", "2")]


def model_metadata(tool: Tool) -> Any:
    return tool.ask("get_model_metadata", "linear", as_json=True)


def model_config(tool: Tool) -> Any:
    return tool.ask("get_model_config", "linear", as_json=True)


def repository_index(tool: Tool) -> Any:
    return tool.ask("get_model_repository_index", as_json=True)


def load_and_unload(tool: Tool) -> Any:
    loaded = tool.ask("load_model", "two")
    ready = tool.ask("is_model_ready", "two")
    unloaded = tool.ask("unload_model", "two")
    return [loaded, ready, unloaded, tool.ask("is_model_ready", "two")]


def infer_default(tool: Tool) -> Any:
    result = tool.ask("infer", "linear", [given(X)], request_id="first")
    said = result.get_response()
    return [said.model_name, said.model_version, said.id, outputs_of(result)]


def infer_version(tool: Tool) -> Any:
    return tool.infer("linear", [given(X)], model_version="2")


def infer_one_output(tool: Tool) -> Any:
    inputs = [given(array, name=name) for name, array in PAIR.items()]
    return tool.infer("two", inputs, outputs=[triton.InferRequestedOutput("difference")])


def infer_two_inputs(tool: Tool) -> Any:
    return tool.infer("two", [given(array, name=name) for name, array in PAIR.items()])


def infer_dtypes(tool: Tool) -> Any:
    return tool.infer("same", [given(array, name=name) for name, array in ARRAYS.items()])


def infer_bfloat16(tool: Tool) -> Any:
    return tool.infer("brain", [given(BFLOAT16)])


def infer_compressed(tool: Tool) -> Any:
    return {kind: tool.infer("linear", [given(X)], compression_algorithm=kind) for kind in ("gzip", "deflate")}


def infer_asynchronously(tool: Tool) -> Any:
    answers: queue.Queue[Any] = queue.Queue()
    for number in range(8):
        tool.ask(
            "async_infer",
            "linear",
            [given(X)],
            lambda result, error: answers.put((result, error)),
            request_id=str(number),
        )
    results = [answers.get(timeout=LONGEST_WAIT) for _ in range(8)]
    return {result.get_response().id: outputs_of(result) for result, error in results}


def infer_in_a_stream(tool: Tool) -> Any:
    answers: queue.Queue[Any] = queue.Queue()
    tool.client.start_stream(lambda result, error: answers.put((result, error)), headers=tool.headers)
    for number in range(4):
        tool.client.async_stream_infer("linear", [given(X)], request_id=str(number))
    tool.client.async_stream_infer("linear", [given(X[:, :3])], request_id="wrong")
    came = [answers.get(timeout=LONGEST_WAIT) for _ in range(5)]
    tool.client.stop_stream()
    results = {result.get_response().id: outputs_of(result) for result, error in came if error is None}
    refusals = [refusal_of(error) for result, error in came if error is not None]
    return {"results": results, "refusals": refusals}


def statistics(tool: Tool) -> Any:
    return tool.ask("get_inference_statistics", "linear", "2", as_json=True)


def wrong_shape(tool: Tool) -> Any:
    return tool.infer("linear", [given(np.zeros((2, 5), np.float32))])


def wrong_datatype(tool: Tool) -> Any:
    return tool.infer("linear", [given(np.zeros((2, 4), np.int64))])


def unknown_model(tool: Tool) -> Any:
    return tool.infer("nobody", [given(X)])


def without_a_token(tool: Tool) -> Any:
    return outputs_of(tool.client.infer("linear", [given(X)]))


JOBS = named(
    server,
    server_metadata,
    model_ready,
    model_metadata,
    model_config,
    repository_index,
    load_and_unload,
    infer_default,
    infer_version,
    infer_one_output,
    infer_two_inputs,
    infer_dtypes,
    infer_bfloat16,
    infer_compressed,
    infer_asynchronously,
    infer_in_a_stream,
    statistics,
    wrong_shape,
    wrong_datatype,
    unknown_model,
    without_a_token,
)

if __name__ == "__main__":
    address, token = sys.argv[1:]
    with triton.InferenceServerClient(address) as opened:
        do(JOBS, Tool(opened, {"authorization": f"Bearer {token}"}))
