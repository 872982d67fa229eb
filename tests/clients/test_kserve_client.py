"""kserve's inference clients, unmodified, do their documented jobs: REST in both versions of the protocol, and gRPC."""

from typing import Any

import numpy as np
import pytest

from tests.support.foreign_clients import computed, register, run_client, spelled
from tests.support.gateway_process import fixed_port, running_gateway
from tests.support.tokens import bearer, make_token

pytestmark = pytest.mark.timeout(300)  # its environment may have to be made

X = np.array([[1.5, -2.25, 0.1, 3.0], [4.0, -0.0, 7.0, 1e38]], np.float32)
SAME = {
    "same_float32": X,
    "same_float64": np.array([[0.1, 5e-324]]),
    "same_float16": np.array([[1.5, 6e-8]], np.float16),
    "same_int64": np.array([[2**63 - 1, -(2**63)]]),
    "same_uint8": np.array([[0, 255]], np.uint8),
    "same_bool": np.array([[True, False]]),
    "same_string": np.array([["ä", "two words"]], np.object_),
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What each job came to."""
    port = str(fixed_port())
    with running_gateway(tmp_path_factory.mktemp("gateway") / "data", auth="on", grpc_port=port) as gateway:
        token = make_token(gateway.data_dir, "admin").text
        with gateway.client(headers=bearer(token)) as client:
            register(client, "linear", "two", "same")
        return run_client("kserve_client.py", gateway.url, token, f"127.0.0.1:{port}")


def test_the_server_is_live_and_ready(done: Any) -> None:
    assert (done["v1_server_live"], done["v2_server"]) == (True, [True, True])


def test_models_that_there_are_are_ready(done: Any) -> None:
    assert (done["v1_model_ready"], done["v2_model_ready"]) == (True, [True, False])


@pytest.mark.parametrize(("job", "key"), [("v1_predict", "predictions"), ("v1_predict_columns", "outputs")])
def test_version_1_answers_in_the_words_of_the_request(done: Any, job: str, key: str) -> None:
    (only,) = done[job]
    assert (only, spelled(y=np.array(done[job][key], np.float32))) == (key, computed("linear", 1, x=X))


@pytest.mark.parametrize("job", ["v2_infer_json", "v2_infer_binary"])
def test_version_2_answers_and_the_id_comes_back(done: Any, job: str) -> None:
    its_client_reads_no_version = None
    assert done[job] == ["linear", its_client_reads_no_version, "first", computed("linear", 1, x=X)]


def test_a_request_may_be_a_plain_dictionary(done: Any) -> None:
    assert done["v2_infer_dictionary"] == computed("linear", 1, x=X)


def test_every_datatype_keeps_its_values(done: Any) -> None:
    assert done["v2_infer_dtypes"] == spelled(**SAME)


def test_only_the_outputs_that_are_asked_for_come_back(done: Any) -> None:
    assert done["v2_one_output"] == spelled(difference=np.array([[-1.5, 6]], np.float32))


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ("v1_unknown_model_ready", ["there is no model 'nobody'", "404"]),
        ("v1_wrong_shape", ["expected float32[batch, 4]", "received float32[1, 2]", "400"]),
        ("v2_wrong_shape", ["expected float32[batch, 4]", "received float32[2, 3]", "422"]),
    ],
)
def test_a_refusal_says_what_to_change(done: Any, job: str, words: list[str]) -> None:
    assert done[job]["raised"] == "HTTPStatusError"
    assert [word for word in words if word not in done[job]["text"]] == []


def test_grpc_says_what_is_live_and_ready(done: Any) -> None:
    assert done["grpc_server"] == [True, True, True]


def test_grpc_answers_and_the_id_comes_back(done: Any) -> None:
    assert done["grpc_infer"] == ["linear", "1", "first", computed("linear", 1, x=X)]


def test_grpc_takes_numbers_that_are_spelled_out(done: Any) -> None:
    assert done["grpc_infer_contents"] == computed("linear", 1, x=X)
