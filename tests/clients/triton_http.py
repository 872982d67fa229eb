"""tritonclient.http: ``triton_http.py ADDRESS TOKEN``."""

import sys
from typing import Any

import ml_dtypes
import numpy as np
import tritonclient.http as triton
from jobs import do, named, spell_all
from tritonclient.utils import np_to_triton_dtype

Client = triton.InferenceServerClient

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
IN_JSON = ("float64", "int64", "uint8", "bool", "string")
PAIR = {"a": np.array([[1.5, 2]], np.float32), "b": np.array([[3, -4]], np.float32)}
LONG = np.arange(4096, dtype=np.float32).reshape(1024, 4)
"""Its answers are worth compressing."""
BFLOAT16 = np.array([[1.5, -0.0, 3e38]], ml_dtypes.bfloat16)


def given(array: Any, *, name: str = "x", binary: bool = True) -> triton.InferInput:
    made = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    return made.set_data_from_numpy(array, binary_data=binary)


def outputs_of(result: Any) -> Any:
    return spell_all({output["name"]: result.as_numpy(output["name"]) for output in result.get_response()["outputs"]})


def server(client: Client) -> Any:
    return [client.is_server_live(), client.is_server_ready()]


def server_metadata(client: Client) -> Any:
    return client.get_server_metadata()


def model_ready(client: Client) -> Any:
    asked = [("linear", ""), ("linear", "2"), ("linear", "9"), ("nobody", "")]
    return [client.is_model_ready(name, version) for name, version in asked]


def model_metadata(client: Client) -> Any:
    return client.get_model_metadata("linear")


def model_metadata_of_a_version(client: Client) -> Any:
    return client.get_model_metadata("linear", "2")


def model_config(client: Client) -> Any:
    return client.get_model_config("linear")


def repository_index(client: Client) -> Any:
    return client.get_model_repository_index()


def load_and_unload(client: Client) -> Any:
    loaded = client.load_model("two")
    ready = client.is_model_ready("two")
    unloaded = client.unload_model("two")
    return [loaded, ready, unloaded, client.is_model_ready("two")]


def load_again(client: Client) -> Any:
    client.load_model("two")
    return client.is_model_ready("two")


def load_nobody(client: Client) -> Any:
    return client.load_model("nobody")


def infer_default(client: Client) -> Any:
    result = client.infer("linear", [given(X)], request_id="first")
    said = result.get_response()
    return [said["model_name"], said["model_version"], said["id"], outputs_of(result)]


def infer_version(client: Client) -> Any:
    result = client.infer("linear", [given(X)], model_version="2")
    return [result.get_response()["model_version"], outputs_of(result)]


def infer_json(client: Client) -> Any:
    finite = np.arange(8, dtype=np.float32).reshape(2, 4) / 3
    wanted = [triton.InferRequestedOutput("y", binary_data=False)]
    return outputs_of(client.infer("linear", [given(finite, binary=False)], outputs=wanted))


def infer_mixed(client: Client) -> Any:
    inputs = [given(PAIR["a"], name="a"), given(PAIR["b"], name="b", binary=False)]
    return outputs_of(client.infer("two", inputs))


def infer_one_output(client: Client) -> Any:
    inputs = [given(array, name=name) for name, array in PAIR.items()]
    return outputs_of(client.infer("two", inputs, outputs=[triton.InferRequestedOutput("difference")]))


def infer_outputs_in_my_order(client: Client) -> Any:
    inputs = [given(array, name=name) for name, array in PAIR.items()]
    wanted = [triton.InferRequestedOutput("difference", binary_data=False), triton.InferRequestedOutput("sum")]
    return outputs_of(client.infer("two", inputs, outputs=wanted))


def infer_dtypes(client: Client) -> Any:
    return outputs_of(client.infer("same", [given(array, name=name) for name, array in ARRAYS.items()]))


def infer_bfloat16(client: Client) -> Any:
    return outputs_of(client.infer("brain", [given(BFLOAT16)]))


def infer_dtypes_as_json(client: Client) -> Any:
    inputs = [given(array, name=name, binary=name not in IN_JSON) for name, array in ARRAYS.items()]
    wanted = [triton.InferRequestedOutput(f"same_{name}", binary_data=name not in IN_JSON) for name in ARRAYS]
    return outputs_of(client.infer("same", inputs, outputs=wanted))


def infer_compressed(client: Client) -> Any:
    answers = {}
    for request in ("gzip", "deflate", None):
        for response in ("gzip", "deflate", None):
            result = client.infer(
                "linear",
                [given(LONG)],
                request_compression_algorithm=request,
                response_compression_algorithm=response,
            )
            answers[f"{request} {response}"] = outputs_of(result)
    return answers


def infer_asynchronously(client: Client) -> Any:
    begun = [client.async_infer("linear", [given(X)], request_id=str(number)) for number in range(8)]
    results = [each.get_result() for each in begun]
    return [[result.get_response()["id"], outputs_of(result)] for result in results]


def infer_with_parameters(client: Client) -> Any:
    return outputs_of(client.infer("linear", [given(X)], priority=1, timeout=5_000_000, parameters={"mine": "yes"}))


def statistics(client: Client) -> Any:
    return client.get_inference_statistics("linear", "2")


def wrong_shape(client: Client) -> Any:
    return outputs_of(client.infer("linear", [given(np.zeros((2, 5), np.float32))]))


def wrong_datatype(client: Client) -> Any:
    return outputs_of(client.infer("linear", [given(np.zeros((2, 4), np.int64))]))


def unknown_output(client: Client) -> Any:
    return outputs_of(client.infer("linear", [given(X)], outputs=[triton.InferRequestedOutput("z")]))


def unknown_model(client: Client) -> Any:
    return outputs_of(client.infer("nobody", [given(X)]))


JOBS = named(
    server,
    server_metadata,
    model_ready,
    model_metadata,
    model_metadata_of_a_version,
    model_config,
    repository_index,
    load_and_unload,
    load_again,
    load_nobody,
    infer_default,
    infer_version,
    infer_json,
    infer_mixed,
    infer_one_output,
    infer_outputs_in_my_order,
    infer_dtypes,
    infer_bfloat16,
    infer_dtypes_as_json,
    infer_compressed,
    infer_asynchronously,
    infer_with_parameters,
    statistics,
    wrong_shape,
    wrong_datatype,
    unknown_output,
    unknown_model,
)


class Bearer(triton.InferenceServerClientPlugin):
    """Presents a token with every request."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: Any) -> None:
        request.headers["authorization"] = f"Bearer {self._token}"


if __name__ == "__main__":
    address, token = sys.argv[1:]
    with Client(address, concurrency=4) as opened:
        opened.register_plugin(Bearer(token))
        do(JOBS, opened)
