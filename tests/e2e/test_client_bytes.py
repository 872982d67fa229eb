"""Bytes or JSON: the client's answers have the same bits, whatever the dtype, the shape and the number of tensors."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from onnx import ModelProto, helper

from gateway.client import Client, Prediction
from registry.tensor import DTYPES, Shape
from tests.support import models
from tests.support.gateway_process import GatewayProcess

PLAIN = ["float16", "float32", "float64", "bool"] + [
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
]
SAFETENSORS = "application/vnd.safetensors"
TABLE = ("rows", "columns")


def several() -> ModelProto:
    """Float32 x [rows, columns], int64 k [] and, by default 1, float64 w [] -> all of them, and the sizes of x."""
    default = helper.make_tensor("w", models.value("w", "float64", ()).type.tensor_type.elem_type, [], [1.0])
    nodes = [helper.make_node("Identity", [name], [f"{name}_too"]) for name in ("x", "k", "w")]
    nodes.append(helper.make_node("Shape", ["x"], ["sizes,%"]))
    return models.model(
        nodes,
        [models.value("x", "float32", TABLE), models.value("k", "int64", ()), models.value("w", "float64", ())],
        [
            models.value("x_too", "float32", TABLE),
            models.value("k_too", "int64", ()),
            models.value("w_too", "float64", ()),
            models.value("sizes,%", "int64", (2,)),
        ],
        initializers=[default],
    )


def same(dtypes: Sequence[str], shape: Shape | None = None) -> ModelProto:
    """For each dtype an input of its name -> an output, the same."""
    return models.model(
        [helper.make_node("Identity", [dtype], [f"{dtype}_too"]) for dtype in dtypes],
        [models.value(dtype, dtype, shape) for dtype in dtypes],
        [models.value(f"{dtype}_too", dtype, shape) for dtype in dtypes],
    )


def widened(narrow: str, wide: str) -> ModelProto:
    """X of a type that bytes have no word for -> y, the same numbers in one that they have."""
    return models.model(
        [helper.make_node("Cast", ["x"], ["y"], to=DTYPES[wide].onnx_code)],
        [models.value("x", narrow, None)],
        [models.value("y", wide, None)],
        opsets={"": 21},
    )


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess) -> Iterator[Client]:
    with Client(gateway.url) as opened:
        opened.register(same(PLAIN), name="same")
        opened.register(models.identity("bfloat16", None), name="same-bfloat16")
        opened.register(widened("float8_e4m3fn", "float32"), name="eighths")
        opened.register(widened("int4", "int8"), name="nibbles")
        opened.register(several(), name="several")
        opened.register(same(["string", "float32"], ("n",)), name="text")
        yield opened


def both(client: Client, reference: str, inputs: Any, **more: Any) -> tuple[Prediction, Prediction]:
    """What comes back in bytes, as far as there are any, and in JSON."""
    return tuple(client.predict(reference, inputs, is_binary=is_binary, **more) for is_binary in (True, False))


def form(prediction: Prediction) -> str:
    return prediction.headers["content-type"].partition(";")[0]


def bits(prediction: Prediction) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """What is the same if everything is: of all NaN one, since JSON does not say which it was."""
    found = {}
    for name, array in prediction.items():
        plain = np.where(np.isnan(array), np.array(np.nan, array.dtype), array) if array.dtype.kind == "f" else array
        octets = repr(plain.tolist()).encode() if plain.dtype.kind == "O" else plain.tobytes()
        found[name] = (array.dtype.name, array.shape, octets)
    return found


@given(data=st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_every_dtype_and_shape_comes_back_to_the_bit_in_both(client: Client, data: st.DataObject) -> None:
    feed = {dtype: data.draw(arrays(dtype, array_shapes(min_dims=0, min_side=0, max_side=3))) for dtype in PLAIN}

    in_bytes, in_json = both(client, "same:1", feed)

    assert (form(in_bytes), form(in_json)) == (SAFETENSORS, "application/json")
    assert bits(in_bytes) == bits(in_json)
    assert {name: (array.dtype, array.shape, array.tobytes()) for name, array in in_bytes.items()} == {
        f"{dtype}_too": (array.dtype, array.shape, array.tobytes()) for dtype, array in feed.items()
    }


@given(array=arrays(np.float64, array_shapes(max_side=3)) | arrays(np.float32, array_shapes(max_side=3)))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_bfloat16_is_rounded_once_in_both(client: Client, array: Any) -> None:
    finite = np.where(np.abs(array) < 3e38, array, 1.0)

    in_bytes, in_json = both(client, "same-bfloat16:1", finite)

    assert (form(in_bytes), bits(in_bytes)) == (SAFETENSORS, bits(in_json))
    assert in_bytes["y"].dtype == np.float32


@pytest.mark.parametrize(
    ("double", "rounded"),
    [(1 + 2**-8 + 2**-40, 1 + 2**-7), (1 + 2**-8 - 2**-40, 1.0), (1 + 2**-8, 1.0), (-1 - 2**-8 - 2**-40, -1 - 2**-7)],
    ids=["just above a tie", "just below", "a tie, to even", "below zero"],
)
def test_rounding_to_bfloat16_does_not_stop_at_float32(client: Client, double: float, rounded: float) -> None:
    in_bytes, in_json = both(client, "same-bfloat16:1", np.array([double]))
    assert (in_bytes["y"].tolist(), in_json["y"].tolist()) == ([rounded], [rounded])


def test_text_goes_as_json(client: Client) -> None:
    in_bytes, in_json = both(client, "text:1", {"string": ["a", "\u00fc\n\u0000"], "float32": [1, np.nan]})

    assert (form(in_bytes), bits(in_bytes)) == ("application/json", bits(in_json))
    assert in_bytes["string_too"].tolist() == ["a", "\u00fc\n\u0000"]


@pytest.mark.parametrize(("reference", "value"), [("eighths:1", [0.5, np.nan]), ("nibbles:1", [-8, 7])])
def test_types_of_less_than_two_bytes_go_as_json_and_come_back_as_bytes(
    client: Client, reference: str, value: Any
) -> None:
    in_bytes, in_json = both(client, reference, value)

    assert (form(in_bytes), bits(in_bytes)) == (SAFETENSORS, bits(in_json))
    np.testing.assert_array_equal(in_bytes["y"], np.array(value, in_bytes["y"].dtype))


@pytest.mark.parametrize("x", [np.ones((2, 3)), np.ones((0, 3)), np.ones((2, 0))], ids=str)
@pytest.mark.parametrize("more", [{}, {"w": 0.25}, {"w": None}], ids=["left out", "given", "none"])
def test_several_inputs_outputs_scalars_and_defaults(client: Client, x: Any, more: dict[str, Any]) -> None:
    in_bytes, in_json = both(client, "several:1", {"x": x, "k": 2**62 + 1, **more})

    assert (form(in_bytes), bits(in_bytes)) == (SAFETENSORS, bits(in_json))
    assert list(in_bytes) == ["x_too", "k_too", "w_too", "sizes,%"]
    assert (in_bytes["k_too"].tolist(), in_bytes["w_too"].tolist()) == (2**62 + 1, more.get("w") or 1.0)


@pytest.mark.parametrize("outputs", [["sizes,%"], ["w_too", "x_too"]])
def test_outputs_that_are_asked_for_come_in_their_order(client: Client, outputs: list[str]) -> None:
    in_bytes, in_json = both(client, "several:1", {"x": [[1, 2]], "k": 1}, outputs=outputs)

    assert (form(in_bytes), list(in_bytes), list(in_json)) == (SAFETENSORS, outputs, outputs)


def test_numbers_come_as_bytes_though_text_was_sent(client: Client) -> None:
    feed = {"string": ["a", "b"], "float32": [0.1, np.nan]}

    all_of_it = client.predict("text:1", feed, is_binary=True)
    numbers = client.predict("text:1", feed, outputs=["float32_too"], is_binary=True)

    assert (form(all_of_it), form(numbers)) == ("application/json", SAFETENSORS)
    np.testing.assert_array_equal(numbers["float32_too"], all_of_it["float32_too"])


@pytest.mark.parametrize("is_binary", [True, False])
def test_who_has_answered_stays_known(client: Client, *, is_binary: bool) -> None:
    version = client.version("several", 1)

    said = client.predict("several:1", {"x": [[1]], "k": 1}, request_id="order 17", is_binary=is_binary)

    assert (said.model, said.version, said.reference) == ("several", 1, "several:1")
    assert (said.digest, said.request_id) == (version.digest, "order 17")


@pytest.mark.parametrize(("rows", "chosen"), [(1, "application/json"), (200, SAFETENSORS)], ids=["a row", "many"])
def test_the_smallest_requests_go_as_json_and_others_as_bytes(client: Client, rows: int, chosen: str) -> None:
    feed = {"x": np.ones((rows, 4)), "k": 1}
    assert form(client.predict("several:1", feed)) == chosen
