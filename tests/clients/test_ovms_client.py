"""ovmsclient over HTTP, unmodified, does its documented jobs."""

from typing import Any

import numpy as np
import pytest

from tests.clients.jobs import spell
from tests.support.foreign_clients import computed, register, run_client, spelled
from tests.support.gateway_process import running_gateway
from tests.support.tokens import bearer, make_token

pytestmark = pytest.mark.timeout(300)  # its environment may have to be made

X = np.array([[1.5, -2.25, 0.1, 3.0], [4.0, -0.0, 7.0, 1e38]], np.float32)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What each job came to."""
    with running_gateway(tmp_path_factory.mktemp("gateway") / "data", auth="on") as gateway:
        token = make_token(gateway.data_dir, "admin").text
        with gateway.client(headers=bearer(token)) as client:
            register(client, "linear", "two", "same")
        return run_client("ovms_client.py", gateway.url.removeprefix("http://"), token)


def as_float32(said: Any) -> Any:
    """The client reads every number as a double; the model's own are these."""
    return spell(np.frombuffer(bytes.fromhex(said["bits"])).reshape(said["shape"]).astype(np.float32))


@pytest.mark.parametrize(("job", "version"), [("predict", 1), ("predict_list", 1), ("predict_version", 2)])
def test_the_only_output_is_the_answer(done: Any, job: str, version: int) -> None:
    assert as_float32(done[job]) == computed("linear", version, x=X)["y"]


def test_several_outputs_come_by_name(done: Any) -> None:
    assert done["predict_two_outputs"] == spelled(sum=np.array([[4.5, -2.0]]), difference=np.array([[-1.5, 6.0]]))


def test_every_datatype_keeps_its_values(done: Any) -> None:
    assert done["predict_dtypes"] == spelled(
        same_float32=np.array([[0.5]]),
        same_float64=np.array([[0.1, 5e-324]]),
        same_float16=np.array([[1.5, -2]]),
        same_int64=np.array([[2**63 - 1, -(2**63)]]),
        same_uint8=np.array([[0, 255]]),
        same_bool=np.array([[True, False]]),
        same_string=np.array([["ä", "two words"]]),
    )


@pytest.mark.parametrize(("job", "version"), [("metadata", 1), ("metadata_of_a_version", 2)])
def test_metadata_are_those_of_the_signature(done: Any, job: str, version: int) -> None:
    x, y = {"dtype": "DT_FLOAT", "shape": [-1, 4]}, {"dtype": "DT_FLOAT", "shape": [-1, 3]}
    assert done[job] == {"inputs": {"x": x}, "outputs": {"y": y}, "model_version": version}


@pytest.mark.parametrize(("job", "version"), [("status_of_the_latest", "1"), ("status_of_a_version", "2")])
def test_versions_have_a_status(done: Any, job: str, version: str) -> None:
    assert done[job] == {version: {"state": "AVAILABLE", "error_code": 0, "error_message": ""}}


@pytest.mark.parametrize(
    ("job", "raised", "words"),
    [
        ("unknown_model", "ModelNotFoundError", ["there is no model 'nobody'"]),
        ("unknown_version", "ModelNotFoundError", ["model 'linear' has no version 9"]),
        ("wrong_shape", "InvalidInputError", ["expected float32[batch, 4]", "received float32[2, 3]"]),
    ],
)
def test_a_refusal_is_the_clients_own_exception_and_says_what_to_change(
    done: Any, job: str, raised: str, words: list[str]
) -> None:
    assert done[job]["raised"] == raised
    assert [word for word in words if word not in done[job]["text"]] == []
