"""What the Open Inference Protocol cannot spell: shown as properties, left out, refused where it is asked for."""

import json

import pytest

from gateway.codec.open_inference.codec import OpenInferenceCodec
from gateway.open_inference.config import model_config
from gateway.open_inference.metadata import model_metadata
from registry.errors import SignatureMismatch
from registry.tensor import DTYPES, OPTIONAL, SEQUENCE, TensorSpec
from tests.support.serving_models import version_of
from tests.support.signatures import signature, tensor

SCORES = TensorSpec(name="scores", dtype=DTYPES["float32"], shape=(None,), containers=(SEQUENCE,))
X, Y = tensor("x", "float32", (1,)), tensor("y", "float32", (1,))
INPUT = {"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}


def decode(codec: OpenInferenceCodec, **more: object) -> tuple[str, ...] | None:
    return codec.decode(json.dumps({"inputs": [INPUT], **more}).encode(), None).outputs


def test_metadata_and_configuration_show_tensors_and_name_the_rest_as_properties() -> None:
    version = version_of(signature(X, outputs=(Y, SCORES)), model="m", number=2)
    metadata = model_metadata(version, [1, 2])
    assert [item["name"] for item in metadata["outputs"]] == ["y"]
    assert metadata["properties"] == {"unsupported.outputs.scores": "sequence(float32[?])"}
    assert [item["name"] for item in model_config(version)["output"]] == ["y"]


def test_all_outputs_are_those_that_can_be_spelled() -> None:
    assert decode(OpenInferenceCodec(version_of(signature(X, outputs=(Y, SCORES))))) == ("y",)


def test_an_output_without_a_word_is_refused_where_it_is_asked_for() -> None:
    codec = OpenInferenceCodec(version_of(signature(X, outputs=(Y, SCORES))))
    with pytest.raises(SignatureMismatch) as caught:
        decode(codec, outputs=[{"name": "scores"}])
    assert [(found.path, found.code) for found in caught.value.violations] == [
        ("/outputs/0", "unsupported_on_this_wire")
    ]


def test_a_model_that_needs_an_input_without_a_word_refuses_every_request() -> None:
    codec = OpenInferenceCodec(version_of(signature(X, tensor("z", "int4", (1,)), outputs=(Y,))))
    with pytest.raises(SignatureMismatch) as caught:
        decode(codec)
    assert [(found.path, found.code) for found in caught.value.violations] == [
        ("/inputs/z", "unsupported_on_this_wire")
    ]


def test_an_optional_without_a_word_may_be_left_out() -> None:
    perhaps = TensorSpec(name="p", dtype=DTYPES["float32"], shape=None, containers=(OPTIONAL,))
    codec = OpenInferenceCodec(version_of(signature(X, perhaps, outputs=(Y,))))
    body = json.dumps({"inputs": [INPUT]}).encode()
    quick = codec.decode_quickly(body, None)
    assert quick is not None
    assert [*quick.feed] == [*codec.decode(body, None).feed] == ["x"]
