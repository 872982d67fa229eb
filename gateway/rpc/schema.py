"""The protocol's messages, made from a table: no generated code, and no pool that others in the process share.

A field is written ``number name type``. After the number, ``*`` means repeated, ``%`` a map from text, ``|`` one of
several.
Only what is read or answered here is in the table: Protocol Buffers skip other fields of a message.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from google.protobuf import (  # type: ignore[import-untyped]  # it ships no types
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)

PACKAGE: Final = "inference"
SERVICE: Final = "GRPCInferenceService"

Fields: TypeAlias = tuple[str, ...]

_FieldType = descriptor_pb2.FieldDescriptorProto

_INFER_HEAD: Fields = ("1 model_name string", "2 model_version string", "3 id string", "4% parameters InferParameter")
_TENSOR: Fields = (
    "1 name string",
    "2 datatype string",
    "3* shape int64",
    "4% parameters InferParameter",
    "5 contents InferTensorContents",
)
_OF_A_MODEL: Fields = ("1 name string", "2 version string")
_OF_A_REPOSITORY: Fields = (
    "1 repository_name string",
    "2 model_name string",
    "3% parameters ModelRepositoryParameter",
)

_DURATION: Final = "StatisticDuration"

_CORE: Mapping[str, Fields] = {
    "ServerLiveRequest": (),
    "ServerLiveResponse": ("1 live bool",),
    "ServerReadyRequest": (),
    "ServerReadyResponse": ("1 ready bool",),
    "ModelReadyRequest": _OF_A_MODEL,
    "ModelReadyResponse": ("1 ready bool",),
    "ServerMetadataRequest": (),
    "ServerMetadataResponse": ("1 name string", "2 version string", "3* extensions string"),
    "ModelMetadataRequest": _OF_A_MODEL,
    "ModelMetadataResponse": (
        "1 name string",
        "2* versions string",
        "3 platform string",
        "4* inputs ModelMetadataResponse.TensorMetadata",
        "5* outputs ModelMetadataResponse.TensorMetadata",
    ),
    "ModelMetadataResponse.TensorMetadata": ("1 name string", "2 datatype string", "3* shape int64"),
    "InferParameter": (
        "1| bool_param bool",
        "2| int64_param int64",
        "3| string_param string",
        "4| double_param double",
        "5| uint64_param uint64",
    ),
    "InferTensorContents": (
        "1* bool_contents bool",
        "2* int_contents int32",
        "3* int64_contents int64",
        "4* uint_contents uint32",
        "5* uint64_contents uint64",
        "6* fp32_contents float",
        "7* fp64_contents double",
        "8* bytes_contents bytes",
    ),
    "ModelInferRequest": (
        *_INFER_HEAD,
        "5* inputs ModelInferRequest.InferInputTensor",
        "6* outputs ModelInferRequest.InferRequestedOutputTensor",
        "7* raw_input_contents bytes",
    ),
    "ModelInferRequest.InferInputTensor": _TENSOR,
    "ModelInferRequest.InferRequestedOutputTensor": ("1 name string", "2% parameters InferParameter"),
    "ModelInferResponse": (
        *_INFER_HEAD,
        "5* outputs ModelInferResponse.InferOutputTensor",
        "6* raw_output_contents bytes",
    ),
    "ModelInferResponse.InferOutputTensor": _TENSOR,
}

_EXTENSIONS: Mapping[str, Fields] = {
    "ModelStreamInferResponse": ("1 error_message string", "2 infer_response ModelInferResponse"),
    "ModelConfigRequest": _OF_A_MODEL,
    "ModelConfigResponse": ("1 config ModelConfig",),
    "ModelConfig": (
        "1 name string",
        "2 platform string",
        "4 max_batch_size int32",
        "5* input ModelInput",
        "6* output ModelOutput",
        "8 default_model_filename string",
        "17 backend string",
    ),
    "ModelInput": ("1 name string", "2 data_type DataType", "4* dims int64", "8 optional bool"),
    "ModelOutput": ("1 name string", "2 data_type DataType", "3* dims int64"),
    "ModelStatisticsRequest": _OF_A_MODEL,
    "ModelStatisticsResponse": ("1* model_stats ModelStatistics",),
    "ModelStatistics": (
        *_OF_A_MODEL,
        "3 last_inference uint64",
        "4 inference_count uint64",
        "5 execution_count uint64",
        "6 inference_stats InferStatistics",
        "7* batch_stats InferBatchStatistics",
    ),
    _DURATION: ("1 count uint64", "2 ns uint64"),
    "InferStatistics": tuple(
        f"{number} {name} {_DURATION}"
        for number, name in enumerate(
            (
                "success",
                "fail",
                "queue",
                "compute_input",
                "compute_infer",
                "compute_output",
                "cache_hit",
                "cache_miss",
            ),
            start=1,
        )
    ),
    "InferBatchStatistics": (
        "1 batch_size uint64",
        f"2 compute_input {_DURATION}",
        f"3 compute_infer {_DURATION}",
        f"4 compute_output {_DURATION}",
    ),
    "ModelRepositoryParameter": (
        "1| bool_param bool",
        "2| int64_param int64",
        "3| string_param string",
        "4| bytes_param bytes",
    ),
    "RepositoryIndexRequest": ("1 repository_name string", "2 ready bool"),
    "RepositoryIndexResponse": ("1* models RepositoryIndexResponse.ModelIndex",),
    "RepositoryIndexResponse.ModelIndex": (*_OF_A_MODEL, "3 state string", "4 reason string"),
    "RepositoryModelLoadRequest": _OF_A_REPOSITORY,
    "RepositoryModelLoadResponse": (),
    "RepositoryModelUnloadRequest": _OF_A_REPOSITORY,
    "RepositoryModelUnloadResponse": (),
}

_ENUMS: Mapping[str, tuple[str, ...]] = {
    "DataType": (
        "TYPE_INVALID",
        "TYPE_BOOL",
        "TYPE_UINT8",
        "TYPE_UINT16",
        "TYPE_UINT32",
        "TYPE_UINT64",
        "TYPE_INT8",
        "TYPE_INT16",
        "TYPE_INT32",
        "TYPE_INT64",
        "TYPE_FP16",
        "TYPE_FP32",
        "TYPE_FP64",
        "TYPE_STRING",
        "TYPE_BF16",
    ),
}
"""The names of an enumeration's values, which count from 0."""


def _make_classes() -> dict[str, Any]:
    tables = {**_CORE, **_EXTENSIONS}
    file = descriptor_pb2.FileDescriptorProto(name="open_inference.proto", package=PACKAGE, syntax="proto3")
    for name, values in _ENUMS.items():
        enum = file.enum_type.add(name=name)
        for number, value in enumerate(values):
            enum.value.add(name=value, number=number)
    made: dict[str, Any] = {}
    for path, fields in tables.items():
        parent, _, name = path.rpartition(".")
        siblings = made[parent].nested_type if parent else file.message_type
        made[path] = siblings.add(name=name)
        _add_fields(made[path], path, fields)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {path: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{path}")) for path in tables}


def _add_fields(message: Any, path: str, fields: Iterable[str]) -> None:
    for text in fields:
        number, name, type_name = text.split()
        mark = number[-1] if not number[-1].isdigit() else ""
        field = message.field.add(name=name, number=int(number.rstrip("*%|")), label=_FieldType.LABEL_OPTIONAL)
        if mark == "|":
            if not message.oneof_decl:
                message.oneof_decl.add(name="parameter_choice")
            field.oneof_index = 0
        elif mark:
            field.label = _FieldType.LABEL_REPEATED
        if mark == "%":
            type_name = _add_map_entry(message, path, name, type_name)
        _set_type(field, type_name)


def _add_map_entry(message: Any, path: str, field_name: str, value_type: str) -> str:
    entry = message.nested_type.add(name=f"{field_name.title()}Entry")
    entry.options.map_entry = True
    _add_fields(entry, f"{path}.{entry.name}", ("1 key string", f"2 value {value_type}"))
    return f"{path}.{entry.name}"


def _set_type(field: Any, type_name: str) -> None:
    if type_name[0].islower():
        field.type = _FieldType.Type.Value(f"TYPE_{type_name.upper()}")
    else:
        field.type = _FieldType.TYPE_ENUM if type_name in _ENUMS else _FieldType.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{type_name}"


_CLASSES: Final = _make_classes()


def message_class(name: str) -> Any:
    """Return the class of a message by its name, which a dot joins to that of the message it stands in."""
    return _CLASSES[name]
