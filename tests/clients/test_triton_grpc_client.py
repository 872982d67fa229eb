"""tritonclient over gRPC, unmodified, does its documented jobs: what it reads is what the runtime computes."""

from typing import Any

import numpy as np
import pytest

from tests.support.foreign_clients import computed, register, run_client, spelled
from tests.support.gateway_process import fixed_port, running_gateway
from tests.support.settled import wait_until_settled
from tests.support.tokens import bearer, make_token

pytestmark = pytest.mark.timeout(300)  # its environment may have to be made

X = np.array([[1.5, -2.25, 0.1, 3e-40], [np.inf, -0.0, 7.0, 1e38]], np.float32)
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
    port = str(fixed_port())
    with running_gateway(tmp_path_factory.mktemp("gateway") / "data", auth="on", grpc_port=port) as gateway:
        token = make_token(gateway.data_dir, "admin").text
        with gateway.client(headers=bearer(token)) as client:
            register(client, *NAMES)
        wait_until_settled(gateway, "two")  # it is to be unloaded, and not to be loaded anew then
        return run_client("triton_grpc.py", f"127.0.0.1:{port}", token)


def test_the_server_is_live_and_ready(done: Any) -> None:
    assert done["server"] == [True, True]


def test_the_server_says_what_it_is(done: Any) -> None:
    assert done["server_metadata"]["name"] == "sardonyx"


def test_models_and_versions_that_there_are_are_ready(done: Any) -> None:
    assert done["model_ready"] == [True, True]


def test_metadata_are_those_of_the_signature(done: Any) -> None:
    assert done["model_metadata"] == {
        "name": "linear",
        "versions": ["1", "2"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": ["-1", "4"]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": ["-1", "3"]}],
    }


def test_the_configuration_names_types_and_dimensions(done: Any) -> None:
    said = done["model_config"]["config"]
    named = [(each["name"], each["data_type"], each["dims"]) for each in [*said["input"], *said["output"]]]
    assert (said["name"], named) == ("linear", [("x", "TYPE_FP32", ["-1", "4"]), ("y", "TYPE_FP32", ["-1", "3"])])


def test_the_index_lists_what_is_promoted_and_what_is_newest(done: Any) -> None:
    listed = [(each["name"], each["version"], each["state"]) for each in done["repository_index"]["models"]]
    assert listed == sorted([*((name, "1", "READY") for name in NAMES), ("linear", "2", "READY")])


def test_a_model_that_is_loaded_is_ready_until_it_is_unloaded(done: Any) -> None:
    assert done["load_and_unload"] == [None, True, None, False]


def test_what_is_promoted_answers_and_the_id_comes_back(done: Any) -> None:
    assert done["infer_default"] == ["linear", "1", "first", computed("linear", 1, x=X)]


def test_a_version_that_is_named_answers(done: Any) -> None:
    assert done["infer_version"] == computed("linear", 2, x=X)


def test_only_the_outputs_that_are_asked_for_come_back(done: Any) -> None:
    assert done["infer_one_output"] == spelled(difference=DIFFERENCE)


def test_several_inputs_go_in(done: Any) -> None:
    assert done["infer_two_inputs"] == computed("two", **PAIR)


def test_every_datatype_keeps_its_bits(done: Any) -> None:
    assert done["infer_dtypes"] == spelled(**SAME)


def test_bfloat16_keeps_its_bits(done: Any) -> None:
    assert done["infer_bfloat16"]["y"] == {"dtype": "bfloat16", "shape": [1, 3], "bits": "c03f0080627f"}


def test_requests_may_be_compressed(done: Any) -> None:
    answer = computed("linear", 1, x=X)
    assert done["infer_compressed"] == {"gzip": answer, "deflate": answer}


def test_requests_may_be_sent_without_waiting(done: Any) -> None:
    answer = computed("linear", 1, x=X)
    assert done["infer_asynchronously"] == {str(number): answer for number in range(8)}


def test_a_stream_answers_each_request_and_goes_on_after_a_refusal(done: Any) -> None:
    answer = computed("linear", 1, x=X)
    came = done["infer_in_a_stream"]
    (refusal,) = came["refusals"]
    assert came["results"] == {str(number): answer for number in range(4)}
    assert [word for word in ("float32[batch, 4]", "float32[2, 3]") if word not in refusal["text"]] == []


def test_statistics_count_the_requests_of_a_version(done: Any) -> None:
    (said,) = done["statistics"]["model_stats"]
    assert (said["name"], said["version"], said["inference_stats"]["success"]["count"]) == ("linear", "2", "1")


@pytest.mark.parametrize(
    ("job", "status", "words"),
    [
        ("wrong_shape", "[StatusCode.INVALID_ARGUMENT]", ["expected float32[batch, 4]", "received float32[2, 5]"]),
        ("wrong_datatype", "[StatusCode.INVALID_ARGUMENT]", ["expected FP32", "received INT64"]),
        ("unknown_model", "[StatusCode.NOT_FOUND]", ["there is no model 'nobody'"]),
        ("without_a_token", "[StatusCode.UNAUTHENTICATED]", ["send an access token that is good"]),
    ],
)
def test_a_refusal_is_the_clients_own_exception_and_says_what_to_change(
    done: Any, job: str, status: str, words: list[str]
) -> None:
    said = done[job]
    text = said["text"]
    assert (said["raised"], text.split()[0]) == ("InferenceServerException", status)
    assert [word for word in words if word not in text] == []
