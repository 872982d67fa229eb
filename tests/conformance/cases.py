"""The ONNX backend conformance set: 1,884 models of one node (or what one expands to) with golden inputs and outputs.

Building it takes some ten seconds, so what has been built stays in a folder: a model a file, all data in another.
"""

import base64
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import orjson
from onnx import numpy_helper

from tests.conformance.values import Value, dtype_named, name_of

FOLDER = Path(__file__).parents[2] / ".bench" / "conformance"
_DATA = "cases.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One model, what goes in, and what has to come out within the tolerances."""

    name: str
    path: Path
    inputs: dict[str, Value]
    golden: dict[str, Value]
    rtol: float
    atol: float


def load_cases() -> list[Case]:
    """Return all cases, from the folder if this version of ONNX has been there before."""
    folder = FOLDER / onnx.__version__
    if not (folder / _DATA).exists():
        _build(folder)
    return [
        Case(
            name=entry["name"],
            path=folder / f"{entry['name']}.onnx",
            inputs={name: _read(value) for name, value in entry["inputs"].items()},
            golden={name: _read(value) for name, value in entry["golden"].items()},
            rtol=entry["rtol"],
            atol=entry["atol"],
        )
        for entry in orjson.loads((folder / _DATA).read_bytes())
    ]


def _build(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their making divides by zero, on purpose
        from onnx.backend.test.case.node import collect_testcases

        cases = collect_testcases(None)
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for case in cases:
        (folder / f"{case.name}.onnx").write_bytes(case.model.SerializeToString())
        ((inputs, outputs),) = case.data_sets
        entries.append(
            {
                "name": case.name,
                "inputs": _write_all(case.model.graph.input, inputs),
                "golden": _write_all(case.model.graph.output, outputs),
                "rtol": case.rtol,
                "atol": case.atol,
            }
        )
    partial = folder / f"{_DATA}.{os.getpid()}"
    partial.write_bytes(orjson.dumps(entries))
    partial.rename(folder / _DATA)


def _write_all(infos: Sequence[Any], values: Sequence[Any]) -> dict[str, Any]:
    return {info.name: _write(value) for info, value in zip(infos, values, strict=True)}


def _write(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, list | tuple):
        return [_write(item) for item in value]
    array = numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)
    entry = {"dtype": name_of(array), "shape": array.shape}
    if array.dtype.kind in "OSU":
        texts = [item.decode() if isinstance(item, bytes) else str(item) for item in array.ravel().tolist()]
        return entry | {"data": texts}
    return entry | {"data": base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()}


def _read(entry: Any) -> Value:
    if entry is None:
        return None
    if isinstance(entry, list):
        return [_read(item) for item in entry]
    if entry["dtype"] == "string":
        return np.array(entry["data"], object).reshape(entry["shape"])
    data = base64.b64decode(entry["data"])
    return np.frombuffer(data, dtype_named(entry["dtype"])).reshape(entry["shape"])
