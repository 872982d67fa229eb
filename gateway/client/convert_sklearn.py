"""scikit-learn estimators to ONNX, by skl2onnx.

1. Rows of one numeric dtype are one input ``x`` with a free number of rows. It is of that dtype, but float32 where
   skl2onnx makes no graph of float64, or one that no runtime loads (it does so for most trees). If the estimator knows
   what its columns are called, so does the graph (``tables`` reads that).
2. A table with columns of several types, or for a pipeline that chooses columns by name (ColumnTransformer), has an
   input [rows, 1] for each column, of its name. Numbers are float32 there, whole ones too: skl2onnx puts columns
   together, which takes one type, and who trains on whole numbers may be asked about others.
3. A classifier gives ``label`` and ``probabilities`` as plain tensors (skl2onnx's ZipMap would make a list of
   dictionaries of the latter).
4. Steps out of xgboost and lightgbm are converted by onnxmltools, whose trees are float32.
"""

import sys
from collections.abc import Mapping
from typing import Any

from gateway.client.comparison import Original
from gateway.client.errors import UnusableArgument
from gateway.client.example_rows import NUMBERS, as_rows, column_names, converting, note_columns, source_of
from gateway.client.tables import is_table

INPUT_NAME = "x"
_ONLY_SINGLE = frozenset({"SVMRegressor"})
"""Operators that the runtime has for float32 only, though their definition says otherwise."""

_TREE_OPERATORS = 3
"""The version of ai.onnx.ml that onnxmltools writes trees in."""


def convert_estimator(model: Any, example: Any) -> tuple[bytes, Original]:
    """Convert a fitted estimator; return the graph's bytes and what the estimator says about the example.

    Args:
        model: fitted; a pipeline counts as what its last step is.
        example: rows as the estimator takes them, shape [n, features], n at least 1.

    Raises:
        UnusableArgument: skl2onnx is not installed or cannot convert the estimator, or the example is no such table.
    """
    try:
        import skl2onnx  # noqa: F401 - whether it is there
    except ImportError:
        raise UnusableArgument("skl2onnx is not installed: pip install 'sardonyx[sklearn]'") from None
    if is_table(example) and (_chooses_columns(model) or not _is_numeric(example)):
        inputs, columns = _columns(example), None
    else:
        inputs, columns = {INPUT_NAME: as_rows(example)}, column_names(example, model)
    graph = None if _is_double(inputs) and _tree_libraries(model) else _tried(model, inputs)
    if graph is None:
        inputs = {
            name: array.astype("float32") if _is_double({name: array}) else array for name, array in inputs.items()
        }
        graph = _converted(model, inputs)
    outputs = _answers(model, example)
    original = Original(source=source_of(model, "sklearn"), inputs=list(inputs.values()), outputs=outputs)
    return note_columns(graph, columns), original


def _tried(model: Any, inputs: Mapping[str, Any]) -> Any:
    """Return the graph; of float64, None if there is none that a runtime loads (rule 1)."""
    if not _is_double(inputs):
        return _converted(model, inputs)
    import onnx

    try:
        graph = _converted(model, inputs)
        onnx.checker.check_model(graph, full_check=True)
    except (UnusableArgument, onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
        return None
    return None if any(node.op_type in _ONLY_SINGLE for node in graph.graph.node) else graph


def _is_double(inputs: Mapping[str, Any]) -> bool:
    return any(array.dtype == "float64" for array in inputs.values())


def _converted(model: Any, inputs: Mapping[str, Any]) -> Any:
    from skl2onnx import to_onnx
    from sklearn.base import is_classifier

    options = {"zipmap": False} if is_classifier(model) else None
    operators = {"target_opset": {"": 21, "ai.onnx.ml": _TREE_OPERATORS}} if _know_trees(model) else {}
    types = [(name, _column_type(array)) for name, array in inputs.items()]
    with converting("skl2onnx"):
        return to_onnx(model, initial_types=types, options=options, **operators)


def _column_type(array: Any) -> Any:
    from skl2onnx.common.data_types import StringTensorType, guess_data_type

    if array.dtype.kind == "O":
        return StringTensorType([None, array.shape[1]])
    found = guess_data_type(array[:1])[0][1]
    return type(found)([None, array.shape[1]])


def _is_numeric(table: Any) -> bool:
    return all(dtype.kind in NUMBERS for dtype in table.dtypes)


def _chooses_columns(model: Any) -> bool:
    parts = [model, *model.get_params(deep=True).values()]
    return any(type(part).__name__ == "ColumnTransformer" for part in parts)


def _columns(table: Any) -> dict[str, Any]:
    """Return each column as an array [rows, 1], texts as objects (rule 2), a missing number as NaN."""
    return {
        str(name): (
            table[name].to_numpy(dtype="float32", na_value=float("nan"))
            if dtype.kind in NUMBERS
            else table[name].to_numpy(dtype=object)
        ).reshape(-1, 1)
        for name, dtype in zip(table.columns, table.dtypes, strict=True)
    }


def _tree_libraries(model: Any) -> set[str]:
    """Return the other libraries that a pipeline has steps of."""
    parts = [model, *model.get_params(deep=True).values()]
    return {type(part).__module__.partition(".")[0] for part in parts} & {"xgboost", "lightgbm"}


def _know_trees(model: Any) -> bool:
    """Tell skl2onnx of the trees of other libraries, if the model has steps out of one; return whether it has."""
    found = _tree_libraries(model)
    if not found:
        return False
    from skl2onnx import update_registered_converter

    from gateway.client.convert_trees import step_converters

    for library in sorted(found):
        for kind, (alias, shapes, converter, options) in step_converters(sys.modules[library]).items():
            update_registered_converter(kind, alias, shapes, converter, options=options)
    return True


def _answers(model: Any, example: Any) -> list[Any]:
    """Return what the estimator says, in the order in which skl2onnx puts the outputs."""
    import numpy as np

    if hasattr(model, "predict"):
        answers = [model.predict(example)]
        if hasattr(model, "predict_proba"):
            answers.append(model.predict_proba(example))
    elif hasattr(model, "transform"):
        answers = [model.transform(example)]
    else:
        raise UnusableArgument(f"a {type(model).__name__} neither predicts nor transforms")
    return [np.asarray(answer) for answer in answers]
