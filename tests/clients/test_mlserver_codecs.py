"""MLServer's codecs make requests that are answered, and read the answers."""

from typing import Any

import numpy as np
import pytest

from tests.support.foreign_clients import computed, register, run_client, spelled
from tests.support.gateway_process import running_gateway
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
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What each job came to."""
    with running_gateway(tmp_path_factory.mktemp("gateway") / "data", auth="on") as gateway:
        token = make_token(gateway.data_dir, "admin").text
        with gateway.client(headers=bearer(token)) as client:
            register(client, "linear", "two", "same", "texts")
        return run_client("mlserver_codecs.py", gateway.url, token, environment="mlserver")


def test_a_whole_request_is_one_array(done: Any) -> None:
    assert done["numpy_request"] == computed("linear", 1, x=X)["y"]


def test_an_input_is_an_array(done: Any) -> None:
    assert done["numpy_input"] == ["linear", "1", "first", computed("linear", 1, x=X)]


def test_every_datatype_keeps_its_values(done: Any) -> None:
    assert done["dtypes"] == [spelled(**SAME), ["ä", "two words"]]


def test_only_the_outputs_that_are_asked_for_come_back(done: Any) -> None:
    assert done["one_output"] == spelled(difference=np.array([[-1.5, 6]], np.float32))


def test_a_whole_request_is_a_list_of_texts(done: Any) -> None:
    assert done["string_request"] == ["ä", "two words"]


def test_a_request_is_a_data_frame_with_a_column_for_each_input(done: Any) -> None:
    assert done["frame"] == {"sum": [4.5, -2.0], "difference": [-1.5, 6.0]}
