"""Tensors as files over a real gateway, read and written by the libraries that people use for them."""

import io
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest
import safetensors.numpy
from onnx import ModelProto, helper

from tests.support import models
from tests.support.gateway_process import GatewayProcess
from tests.support.problems import assert_problem, violation
from tests.support.raw_http import request_bytes, send_raw
from tests.support.uploads import upload_all

NPY, NPZ = "application/x-npy", "application/x-npz"
SAFETENSORS = "application/vnd.safetensors"
X = np.array([2.0, -0.0, np.nan], np.float32)

Array = npt.NDArray[Any]


def neg_and_square() -> ModelProto:
    nodes = [helper.make_node("Neg", ["x"], ["minus"]), helper.make_node("Mul", ["x", "x"], ["square, too"])]
    return models.model(nodes, [models.value("x")], [models.value("minus"), models.value("square, too")])


def sums() -> ModelProto:
    node = helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)
    return models.model([node], [models.value("x")], [models.value("y", shape=())])


SERVED: dict[str, ModelProto] = {
    "echo": models.identity("float32"),
    "wide": models.identity("float32", ("n", 128)),
    "sum": sums(),
    "two": neg_and_square(),
    "pair": models.two_inputs_one_symbol(),
    "biased": models.optional_bias(),
    "same-text": models.string_twice(),
}


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        upload_all(opened, SERVED)
        yield opened


def npy(array: Array) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def npz(**arrays: Array) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


def load(content: bytes) -> Any:
    loaded = np.load(io.BytesIO(content), allow_pickle=False)
    return dict(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else loaded


def ask(client: httpx.Client, model: str, body: bytes, kind: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(f"/v1/models/{model}/predict", content=body, headers={"content-type": kind, **named})


def told(answer: httpx.Response, read: Any = load) -> tuple[int, str, Any]:
    return answer.status_code, answer.headers["content-type"], _bits(read(answer.content))


def _bits(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _bits(array) for name, array in value.items()}
    return value.dtype.str, value.shape, value.tobytes()


def test_an_array_comes_back_as_an_array_bit_for_bit(client: httpx.Client) -> None:
    assert told(ask(client, "echo", npy(X), NPY)) == (200, NPY, _bits(X))


def test_tensors_come_and_go_by_name_in_npz(client: httpx.Client) -> None:
    answer = ask(client, "pair", npz(b=X, a=X), NPZ)
    assert told(answer) == (200, NPZ, {"sum": _bits(X + X)})


def test_tensors_come_and_go_by_name_in_safetensors(client: httpx.Client) -> None:
    answer = ask(client, "pair", safetensors.numpy.save({"b": X, "a": X}), "application/x-safetensors")
    expected = (200, "application/x-safetensors", {"sum": _bits(X + X)})
    assert told(answer, safetensors.numpy.load) == expected


@pytest.mark.parametrize("kind", [NPY, NPZ, SAFETENSORS])
def test_json_may_be_answered_in_a_file(client: httpx.Client, kind: str) -> None:
    answer = ask(client, "sum", b'{"inputs": {"x": [1, 2]}}', "application/json", accept=kind)
    read = safetensors.numpy.load if kind == SAFETENSORS else load
    total = _bits(np.float32(3))
    assert told(answer, read) == (200, kind, total if kind == NPY else {"y": total})


def test_a_file_may_be_answered_in_json(client: httpx.Client) -> None:
    answer = ask(client, "echo", npy(X), NPY, accept="application/json")
    expected = {"model": "echo", "version": 1, "outputs": {"y": [2.0, -0.0, "NaN"]}}
    assert (answer.headers["content-type"], answer.json()) == ("application/json", expected)


def test_outputs_are_named_in_a_header(client: httpx.Client) -> None:
    answer = ask(client, "two", npy(X), NPY, x_outputs="square%2C too")
    assert told(answer) == (200, NPY, _bits(X * X))


def test_answers_say_which_version_gave_them(client: httpx.Client) -> None:
    answer = ask(client, "echo", npy(X), NPY, x_request_id="mine")
    said = {name: answer.headers[name] for name in ("x-model-version", "x-request-id")}
    assert (said, "x-model-digest" in answer.headers) == ({"x-model-version": "1", "x-request-id": "mine"}, True)


def test_text_comes_and_goes_as_numpy_has_it(client: httpx.Client) -> None:
    answer = ask(client, "same-text", npy(np.array(["ä", ""])), NPY)
    assert told(answer) == (200, NPY, _bits(np.array(["ää", ""])))


def test_an_input_with_a_default_may_be_left_out_of_an_array(client: httpx.Client) -> None:
    assert told(ask(client, "biased", npy(X), NPY)) == (200, NPY, _bits(X + 1))


def test_a_large_array_is_answered_as_a_small_one(client: httpx.Client) -> None:
    array = np.random.default_rng(0).standard_normal((1000, 128)).astype(np.float32)
    assert told(ask(client, "wide", npy(array), NPY)) == (200, NPY, _bits(array))


def test_sums_are_those_of_json_to_the_last_bit(client: httpx.Client) -> None:
    # Three bytes more of a name have the tensor begin elsewhere in the file.
    array = np.random.default_rng(0).standard_normal(5003).astype(np.float32)
    usual = np.float32(client.post("/v1/models/sum/predict", json={"inputs": array.tolist()}).json()["outputs"]["y"])
    files = [safetensors.numpy.save({"x": array}, {"note": "n" * length}) for length in range(0, 32, 8)]
    sums = [told(ask(client, "sum", file, SAFETENSORS, accept=NPY)) for file in files]
    assert sums == [(200, NPY, _bits(usual))] * len(files)


@pytest.mark.parametrize("content", [npy(X), npz(x=X), safetensors.numpy.save({"x": X})], ids=["npy", "npz", "safe"])
def test_every_form_can_be_validated(client: httpx.Client, content: bytes) -> None:
    kind = {b"\x93": NPY, b"P": NPZ}.get(content[:1], SAFETENSORS)
    answer = client.post("/v1/models/echo/validate", content=content, headers={"content-type": kind})
    assert (answer.status_code, answer.json()) == (200, {"model": "echo", "version": 1, "valid": True})


def test_an_array_of_another_dtype_is_refused_and_not_cast(client: httpx.Client) -> None:
    fault = violation("/x", "a tensor of float32", "one of float64", "invalid_dtype")
    assert_problem(
        ask(client, "echo", npy(X.astype(np.float64)), NPY),
        422,
        code="invalid_dtype",
        detail="/x: expected a tensor of float32, received one of float64",
        violations=[fault],
        example={"inputs": {"x": [0.5]}},
    )


def test_a_single_array_is_not_enough_for_two_inputs(client: httpx.Client) -> None:
    expected, received = "the inputs a, b, by name: send npz or safetensors", "one tensor without a name"
    assert_problem(
        ask(client, "pair", npy(X), NPY),
        422,
        code="invalid_field",
        detail=f"the body: expected {expected}, received {received}",
        violations=[violation("", expected, received, "invalid_field")],
        example={"inputs": {"a": [0.5], "b": [0.5]}},
    )


def test_two_outputs_are_not_acceptable_as_one_array(client: httpx.Client) -> None:
    assert_problem(
        ask(client, "two", npy(X), NPY),
        406,
        code="not_acceptable",
        detail=f"{NPY} holds one output, and the answer has 2: minus, square, too. Name one in the header x-outputs"
        f" (in JSON, in outputs), or send Accept: {NPZ}",
    )


def test_text_is_not_acceptable_in_safetensors(client: httpx.Client) -> None:
    assert_problem(
        ask(client, "same-text", npy(np.array(["a"])), NPY, accept=SAFETENSORS),
        406,
        code="not_acceptable",
        detail=f"{SAFETENSORS} has no word for the output 'y' (string[n]); these have: application/json, {NPY}, {NPZ}",
    )


@pytest.mark.parametrize("kind", ["application/json", NPY])
def test_an_answer_that_nobody_can_write_is_not_acceptable(client: httpx.Client, kind: str) -> None:
    answer = ask(client, "echo", b"", kind, accept="image/png, text/*;q=0.5")
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


def test_a_head_that_has_been_seen_still_gets_the_form_that_it_asks_for(gateway: GatewayProcess) -> None:
    line, body = "POST /v1/models/sum/predict HTTP/1.1", b'{"inputs": {"x": [1, 2]}}'
    headers = ("Host: localhost", "Content-Type: application/json")
    plain = request_bytes(line, *headers, body=body)
    binary = request_bytes(line, *headers, f"Accept: {NPY}", body=body)
    kinds = [send_raw(gateway.url, request).headers["content-type"] for request in (plain, binary, plain, binary)]
    assert kinds == ["application/json", NPY, "application/json", NPY]


def test_objects_are_never_unpickled(client: httpx.Client) -> None:
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], object), allow_pickle=True)
    answer = ask(client, "same-text", file.getvalue(), NPY)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_dtype")
