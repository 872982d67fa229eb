"""Server and model metadata."""

from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from gateway.codec.open_inference.words import datatype_of
from registry.records import Version
from registry.tensor import Shape, TensorSpec

PLATFORM = "onnxruntime_onnx"
"""As Triton calls what runs ONNX models."""

SERVER = "sardonyx"

EXTENSIONS = ("binary_tensor_data", "model_repository", "model_configuration", "statistics")
"""Those of Triton's extensions that there are here."""

FREE = -1
"""A size that a request chooses."""


def server_metadata() -> dict[str, Any]:
    """Return name, version and extensions of this server."""
    try:
        number = version(SERVER)
    except PackageNotFoundError:  # run from a checkout that is not installed
        number = "0"
    return {"name": SERVER, "version": number, "extensions": list(EXTENSIONS)}


def model_metadata(version: Version, numbers: Sequence[int]) -> dict[str, Any]:
    """Return the metadata of one version of a model.

    Args:
        version: whose tensors are shown.
        numbers: of the versions that there are.
    """
    signature = version.signature
    metadata: dict[str, Any] = {
        "name": version.model,
        "versions": [str(number) for number in numbers],
        "platform": PLATFORM,
        "inputs": _tensors(signature.inputs),
        "outputs": _tensors(signature.outputs),
    }
    properties = {
        **_unsupported("inputs", signature.inputs),
        **_unsupported("outputs", signature.outputs),
        **{f"optional.inputs.{spec.name}": "true" for spec in signature.inputs if spec.optional},
    }
    return metadata | ({"properties": properties} if properties else {})


def dims(shape: Shape | None) -> list[int]:
    """Return the sizes as the protocol has them: -1 for one that is free, and for a whole shape that is unknown."""
    return [FREE] if shape is None else [dim if isinstance(dim, int) else FREE for dim in shape]


def _tensors(specs: Iterable[TensorSpec]) -> list[dict[str, Any]]:
    return [
        {"name": spec.name, "datatype": datatype, "shape": dims(spec.shape)}
        for spec in specs
        if (datatype := datatype_of(spec)) is not None
    ]


def _unsupported(where: str, specs: Iterable[TensorSpec]) -> dict[str, str]:
    """Return what the protocol has no word for, as its properties: texts by name."""
    return {f"unsupported.{where}.{spec.name}": str(spec) for spec in specs if datatype_of(spec) is None}
