"""tritonclient over HTTP, unmodified, does its documented jobs: what it reads is what the runtime computes."""

from typing import Any

import numpy as np
import pytest

from tests.support.foreign_clients import computed, register, run_client, spelled
from tests.support.gateway_process import running_gateway
from tests.support.settled import wait_until_settled
from tests.support.tokens import bearer, make_token

pytestmark = pytest.mark.timeout(300)  # its environment may have to be made

X = np.array([[1.5, -2.25, 0.1, 3e-40], [np.inf, -0.0, 7.0, 1e38]], np.float32)
LINEAR = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
}
SAME = {
    "same_float32": X,
    "same_float64": np.array([[0.1, 5e-324]]),
    "same_float16": np.array([[1.5, -0.0, 6e-8]], np.float16),
    "same_int64": np.array([[2**63 - 1, -(2**63), 9007199254740993]]),
    "same_uint8": np.array([[0, 255]], np.uint8),
    "same_bool": np.array([[True, False]]),
    "same_string": np.array([["ä", ""], ["two words", "x"]], np.object_),
}
NAMES = ("brain", "linear", "same", "two")
PAIR = {"a": np.array([[1.5, 2]], np.float32), "b": np.array([[3, -4]], np.float32)}
DIFFERENCE = np.array([[-1.5, 6]], np.float32)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What each job came to, with a token that may load and unload."""
    with running_gateway(tmp_path_factory.mktemp("gateway") / "data", auth="on") as gateway:
        token = make_token(gateway.data_dir, "admin").text
        with gateway.client(headers=bearer(token)) as client:
            register(client, *NAMES)
        wait_until_settled(gateway, "two")  # it is to be unloaded, and not to be loaded anew then
        return run_client("triton_http.py", gateway.url.removeprefix("http://"), token)


def test_the_server_is_live_and_ready(done: Any) -> None:
    assert done["server"] == [True, True]


def test_the_server_says_what_it_is(done: Any) -> None:
    said = done["server_metadata"]
    assert (said["name"], "binary_tensor_data" in said["extensions"]) == ("sardonyx", True)


def test_models_and_versions_that_there_are_are_ready(done: Any) -> None:
    assert done["model_ready"] == [True, True, False, False]


@pytest.mark.parametrize("job", ["model_metadata", "model_metadata_of_a_version"])
def test_metadata_are_those_of_the_signature(done: Any, job: str) -> None:
    assert done[job] == {"name": "linear", "versions": ["1", "2"], "platform": "onnxruntime_onnx", **LINEAR}


def test_the_configuration_names_types_and_dimensions(done: Any) -> None:
    said = done["model_config"]
    named = [(each["name"], each["data_type"], each["dims"]) for each in [*said["input"], *said["output"]]]
    assert (said["name"], named) == ("linear", [("x", "TYPE_FP32", [-1, 4]), ("y", "TYPE_FP32", [-1, 3])])


def test_the_index_lists_what_is_promoted_and_what_is_newest(done: Any) -> None:
    listed = [(each["name"], each["version"], each["state"]) for each in done["repository_index"]]
    assert listed == sorted([*((name, "1", "READY") for name in NAMES), ("linear", "2", "READY")])


def test_a_model_that_is_unloaded_is_not_ready_until_it_is_loaded_again(done: Any) -> None:
    assert (done["load_and_unload"], done["load_again"]) == ([None, True, None, False], True)


def test_what_is_promoted_answers_and_the_id_comes_back(done: Any) -> None:
    assert done["infer_default"] == ["linear", "1", "first", computed("linear", 1, x=X)]


def test_a_version_that_is_named_answers(done: Any) -> None:
    assert done["infer_version"] == ["2", computed("linear", 2, x=X)]


def test_json_goes_in_and_comes_out(done: Any) -> None:
    finite = np.arange(8, dtype=np.float32).reshape(2, 4) / 3
    assert done["infer_json"] == computed("linear", 1, x=finite)


def test_bytes_and_json_may_be_mixed(done: Any) -> None:
    assert done["infer_mixed"] == computed("two", **PAIR)


def test_only_the_outputs_that_are_asked_for_come_back(done: Any) -> None:
    assert done["infer_one_output"] == spelled(difference=DIFFERENCE)


def test_outputs_come_in_the_order_that_is_asked_for(done: Any) -> None:
    answer = spelled(difference=DIFFERENCE, sum=np.array([[4.5, -2]], np.float32))
    assert list(done["infer_outputs_in_my_order"].items()) == list(answer.items())


def test_every_datatype_keeps_its_bits_in_binary(done: Any) -> None:
    assert done["infer_dtypes"] == spelled(**SAME)


def test_bfloat16_keeps_its_bits_in_binary(done: Any) -> None:
    assert done["infer_bfloat16"]["y"] == {"dtype": "bfloat16", "shape": [1, 3], "bits": "c03f0080627f"}


def test_datatypes_keep_their_values_in_json(done: Any) -> None:
    assert done["infer_dtypes_as_json"] == spelled(**SAME)


def test_requests_and_answers_may_be_compressed(done: Any) -> None:
    kinds = ("gzip", "deflate", None)
    answer = computed("linear", 1, x=np.arange(4096, dtype=np.float32).reshape(1024, 4))
    assert done["infer_compressed"] == {f"{one} {other}": answer for one in kinds for other in kinds}


def test_requests_may_be_sent_without_waiting(done: Any) -> None:
    answer = computed("linear", 1, x=X)
    assert done["infer_asynchronously"] == [[str(number), answer] for number in range(8)]


def test_parameters_that_mean_nothing_here_do_no_harm(done: Any) -> None:
    assert done["infer_with_parameters"] == computed("linear", 1, x=X)


def test_statistics_count_the_requests_of_a_version(done: Any) -> None:
    (said,) = done["statistics"]["model_stats"]
    assert (said["name"], said["version"], said["inference_stats"]["success"]["count"]) == ("linear", "2", 1)


@pytest.mark.parametrize(
    ("job", "status", "words"),
    [
        ("wrong_shape", "[422]", ["/inputs/0", "expected float32[batch, 4]", "received float32[2, 5]"]),
        ("wrong_datatype", "[422]", ["/inputs/0/datatype", "expected FP32", "received INT64"]),
        ("unknown_output", "[422]", ["/outputs/0/name", "expected one of y", "received z"]),
        ("unknown_model", "[404]", ["there is no model 'nobody'"]),
        ("load_nobody", "[404]", ["there is no model 'nobody'"]),
    ],
)
def test_a_refusal_is_the_clients_own_exception_and_says_what_to_change(
    done: Any, job: str, status: str, words: list[str]
) -> None:
    said = done[job]
    text = said["text"]
    assert (said["raised"], text.split()[0]) == ("InferenceServerException", status)
    assert [word for word in words if word not in text] == []
