"""A version's signature in TensorFlow's words."""

from typing import Any

import pytest

from gateway.web.tensorflow_metadata import enum_name, metadata_json
from registry.tensor import DTYPES, OPTIONAL, SEQUENCE, TensorSpec, map_of
from tests.support.serving_models import make_version


def shape(*dims: tuple[str, str], unknown: bool = False) -> dict[str, Any]:
    return {"dim": [{"size": size, "name": name} for size, name in dims], "unknown_rank": unknown}


def test_the_document_serves_clients_of_either_spelling() -> None:
    x, y = shape(("-1", "n"), ("4", "")), shape(unknown=True)
    spec = {"name": "iris", "signature_name": "", "version": "3"}
    signatures = {
        "serving_default": {
            "inputs": {"x": {"dtype": "DT_FLOAT", "tensor_shape": x, "tensorShape": x, "name": "x"}},
            "outputs": {"y": {"dtype": "DT_FLOAT", "tensor_shape": y, "tensorShape": y, "name": "y"}},
            "method_name": "tensorflow/serving/predict",
            "methodName": "tensorflow/serving/predict",
        }
    }
    assert metadata_json(make_version("iris", 3, outputs=("y",))) == {
        "model_spec": spec,
        "modelSpec": spec,
        "metadata": {"signature_def": {"signature_def": signatures, "signatureDef": signatures}},
    }


def test_nearly_every_element_type_has_a_name_there() -> None:
    assert [name for name, dtype in DTYPES.items() if enum_name(dtype) == "DT_INVALID"] == ["float8_e8m0fnu"]
    assert len({enum_name(dtype) for dtype in DTYPES.values()}) == len(DTYPES)


@pytest.mark.parametrize("containers", [(SEQUENCE,), (OPTIONAL,), (SEQUENCE, map_of(DTYPES["int64"]))])
def test_what_is_no_tensor_has_no_type_there(containers: tuple[str, ...]) -> None:
    spec = TensorSpec(name="s", dtype=DTYPES["int64"], shape=(2,), containers=containers)
    document = metadata_json(make_version(inputs=(spec,)))
    signature = document["metadata"]["signature_def"]["signature_def"]["serving_default"]
    shown = shape(("2", ""), unknown=True)
    assert signature["inputs"] == {
        "s": {"dtype": "DT_INVALID", "tensor_shape": shown, "tensorShape": shown, "name": "s"}
    }
