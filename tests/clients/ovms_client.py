"""ovmsclient over HTTP: ``ovms_client.py ADDRESS TOKEN``."""

import sys
from typing import Any

import numpy as np
from jobs import do, named, spell, spell_all
from ovmsclient import make_http_client

X = np.array([[1.5, -2.25, 0.1, 3.0], [4.0, -0.0, 7.0, 1e38]], np.float32)


def spelled(outputs: Any) -> Any:
    return spell_all(outputs) if isinstance(outputs, dict) else spell(outputs)


def predict(client: Any) -> Any:
    return spelled(client.predict({"x": X}, "linear"))


def predict_version(client: Any) -> Any:
    return spelled(client.predict({"x": X}, "linear", model_version=2))


def predict_list(client: Any) -> Any:
    return spelled(client.predict({"x": X.tolist()}, "linear", timeout=30.0))


def predict_two_outputs(client: Any) -> Any:
    return spelled(client.predict({"a": np.array([[1.5, 2]], np.float32), "b": [[3.0, -4.0]]}, "two"))


def predict_dtypes(client: Any) -> Any:
    arrays = {
        "float32": np.array([[0.5]], np.float32),
        "float64": np.array([[0.1, 5e-324]]),
        "float16": np.array([[1.5, -2]], np.float16),
        "int64": np.array([[2**63 - 1, -(2**63)]]),
        "uint8": np.array([[0, 255]], np.uint8),
        "bool": np.array([[True, False]]),
        "string": np.array([["ä".encode(), b"two words"]]),
    }
    return spelled(client.predict(arrays, "same"))


def metadata(client: Any) -> Any:
    return client.get_model_metadata("linear")


def metadata_of_a_version(client: Any) -> Any:
    return client.get_model_metadata("linear", model_version=2)


def status_of_the_latest(client: Any) -> Any:
    return client.get_model_status("linear", model_version=0)


def status_of_a_version(client: Any) -> Any:
    return client.get_model_status("linear", model_version=2)


def unknown_model(client: Any) -> Any:
    return client.get_model_status("nobody")


def unknown_version(client: Any) -> Any:
    return spelled(client.predict({"x": X}, "linear", model_version=9))


def wrong_shape(client: Any) -> Any:
    return spelled(client.predict({"x": X[:, :3]}, "linear"))


JOBS = named(
    predict,
    predict_version,
    predict_list,
    predict_two_outputs,
    predict_dtypes,
    metadata,
    metadata_of_a_version,
    status_of_the_latest,
    status_of_a_version,
    unknown_model,
    unknown_version,
    wrong_shape,
)

if __name__ == "__main__":
    address, token = sys.argv[1:]
    made = make_http_client(address)
    made.session.headers["authorization"] = f"Bearer {token}"
    do(JOBS, made)
