"""Where ONNX messages hold messages: what a walk over the wire must know of onnx.proto, and no more."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

MESSAGES: Final[Mapping[str, Mapping[int, str]]] = MappingProxyType(
    {
        "ModelProto": {
            7: "GraphProto",
            8: "OperatorSetIdProto",
            14: "StringStringEntryProto",
            20: "TrainingInfoProto",
            25: "FunctionProto",
            26: "DeviceConfigurationProto",
        },
        "GraphProto": {
            1: "NodeProto",
            5: "TensorProto",
            11: "ValueInfoProto",
            12: "ValueInfoProto",
            13: "ValueInfoProto",
            14: "TensorAnnotation",
            15: "SparseTensorProto",
            16: "StringStringEntryProto",
        },
        "NodeProto": {5: "AttributeProto", 9: "StringStringEntryProto", 10: "NodeDeviceConfigurationProto"},
        "AttributeProto": {
            5: "TensorProto",
            6: "GraphProto",
            10: "TensorProto",
            11: "GraphProto",
            14: "TypeProto",
            15: "TypeProto",
            22: "SparseTensorProto",
            23: "SparseTensorProto",
        },
        "FunctionProto": {
            7: "NodeProto",
            9: "OperatorSetIdProto",
            11: "AttributeProto",
            12: "ValueInfoProto",
            14: "StringStringEntryProto",
        },
        "TensorProto": {3: "Segment", 13: "StringStringEntryProto", 16: "StringStringEntryProto"},
        "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
        "ValueInfoProto": {2: "TypeProto", 4: "StringStringEntryProto"},
        "TypeProto": {1: "Tensor", 4: "Sequence", 5: "Map", 7: "Opaque", 8: "SparseTensor", 9: "Optional"},
        "Tensor": {2: "TensorShapeProto"},
        "SparseTensor": {2: "TensorShapeProto"},
        "Sequence": {1: "TypeProto"},
        "Map": {2: "TypeProto"},
        "Optional": {1: "TypeProto"},
        "TensorShapeProto": {1: "Dimension"},
        "TrainingInfoProto": {
            1: "GraphProto",
            2: "GraphProto",
            3: "StringStringEntryProto",
            4: "StringStringEntryProto",
        },
        "TensorAnnotation": {2: "StringStringEntryProto"},
        "NodeDeviceConfigurationProto": {2: "ShardingSpecProto"},
        "ShardingSpecProto": {3: "IntIntListEntryProto", 4: "ShardedDimProto"},
        "ShardedDimProto": {2: "SimpleShardedDimProto"},
    }
)
"""Which fields hold messages, and of which type; types that hold none are not listed."""

MODEL_FIELDS: Final = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})
"""Every field of a ModelProto; one that is not here makes a file something else."""
