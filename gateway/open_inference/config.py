"""A version as Triton's model configuration describes models: what clients and measuring tools read of it.

Field names and values are those of the message ``inference.ModelConfig``, in the JSON mapping of Protocol Buffers.
"""

from typing import Any

from gateway.codec.open_inference.words import datatype_of
from gateway.open_inference.metadata import PLATFORM, dims
from registry.records import Version
from registry.tensor import TensorSpec


def model_config(version: Version) -> dict[str, Any]:
    """Return the configuration of one version.

    The batch axis is a dimension like every other here: ``max_batch_size`` is 0.
    """
    signature = version.signature
    return {
        "name": version.model,
        "platform": PLATFORM,
        "backend": "onnxruntime",
        "runtime": "",
        "version_policy": {"specific": {"versions": [version.number]}},
        "max_batch_size": 0,
        "input": [
            {**_tensor(spec), "format": "FORMAT_NONE", "allow_ragged_batch": False, "optional": spec.optional}
            for spec in signature.inputs
            if datatype_of(spec) is not None
        ],
        "output": [
            {**_tensor(spec), "label_filename": ""} for spec in signature.outputs if datatype_of(spec) is not None
        ],
        "batch_input": [],
        "batch_output": [],
        "instance_group": [{"name": version.model, "kind": "KIND_CPU", "count": 1, "gpus": []}],
        "default_model_filename": "model.onnx",
        "parameters": {},
    }


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    datatype = datatype_of(spec)
    type_name = "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"
    return {"name": spec.name, "data_type": type_name, "dims": dims(spec.shape), "is_shape_tensor": False}
