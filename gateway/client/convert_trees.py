"""Models of xgboost and lightgbm to ONNX, by onnxmltools: their scikit-learn wrappers and their boosters.

1. The input is called ``x``, float32 with a free number of rows: what both libraries' trees are in ONNX.
2. A classifier gives ``label`` and ``probabilities``, a regressor one value for each row. A booster says less than its
   wrapper (of two classes the probability of the second one), so that is completed before it is compared.
3. xgboost's converter reads the numbers of features out of their names, ``f0``, ``f1``: other names are taken away for
   the conversion, and given back.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gateway.client.comparison import Original
from gateway.client.errors import UnusableArgument
from gateway.client.example_rows import as_rows, column_names, converting, note_columns, source_of

INPUT_NAME = "x"
_HALF = 0.5
_ONE_OF_TWO, _ONE_OF_MANY = "binary", "multi"


def convert_trees(model: Any, example: Any) -> tuple[bytes, Original]:
    """Convert a fitted model; return the graph's bytes and what the model says about the example.

    Args:
        model: a Booster, or one of the libraries' estimators in scikit-learn's manner.
        example: rows of numbers, shape [n, features], n at least 1.

    Raises:
        UnusableArgument: onnxmltools is not installed or cannot convert the model, or the example is no such table.
    """
    import numpy as np

    library = next(kind.__module__.partition(".")[0] for kind in type(model).__mro__ if _is_library(kind))
    rows = as_rows(example)
    graph = _converted(model, library, rows.shape[1])
    outputs = _answers(model, library, example)
    names = column_names(example, model) or _names_of_booster(model, library)
    original = Original(source=source_of(model, library), inputs=[rows.astype(np.float32)], outputs=outputs)
    return note_columns(graph, names), original


def step_converters(library: Any) -> Mapping[Any, tuple[str, Any, Any, Mapping[str, Any]]]:
    """Return what skl2onnx is told of a library's estimators: a name, shapes, a converter and options of each class.

    Raises:
        UnusableArgument: onnxmltools is not installed.
    """
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes as classes,
    )
    from skl2onnx.common.shape_calculator import (
        calculate_linear_regressor_output_shapes as values,
    )

    try:
        from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
    except ImportError as error:
        raise _not_installed(library.__name__, error) from None
    maps = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    if library.__name__ == "xgboost":
        return {
            library.XGBClassifier: ("XGBoostXGBClassifier", classes, convert_xgboost, maps),
            library.XGBRegressor: ("XGBoostXGBRegressor", values, convert_xgboost, {}),
        }
    return {
        library.LGBMClassifier: ("LightGbmLGBMClassifier", classes, convert_lightgbm, maps),
        library.LGBMRegressor: ("LightGbmLGBMRegressor", values, convert_lightgbm, {"split": None}),
    }


def _is_library(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in ("xgboost", "lightgbm")


def _not_installed(library: str, error: ImportError) -> UnusableArgument:
    return UnusableArgument(f"onnxmltools is needed: pip install 'sardonyx[{library}]' ({error})")


def _converted(model: Any, library: str, width: int) -> Any:
    try:
        import onnxmltools
        from onnxmltools.convert.common.data_types import FloatTensorType
    except ImportError as error:
        raise _not_installed(library, error) from None
    types = [(INPUT_NAME, FloatTensorType([None, width]))]
    if library == "lightgbm":
        with converting("onnxmltools"):
            return _freed(onnxmltools.convert_lightgbm(model, initial_types=types, zipmap=False))
    with converting("onnxmltools"), _without_names(model):
        return _freed(onnxmltools.convert_xgboost(model, initial_types=types))


def _freed(graph: Any) -> Any:
    """Free the number of rows of the outputs, of which the converters say here and there that it is 1."""
    for output in graph.graph.output:
        output.type.tensor_type.shape.dim[0].ClearField("dim_value")
    return graph


@contextmanager
def _without_names(model: Any) -> Iterator[None]:
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    names, types = booster.feature_names, booster.feature_types
    booster.feature_names = None
    try:
        yield
    finally:
        booster.feature_names, booster.feature_types = names, types


def _names_of_booster(model: Any, library: str) -> list[str] | None:
    """Return what a booster calls its columns, if these are names and no numbers."""
    if hasattr(model, "predict_proba") or hasattr(model, "get_params"):
        return None
    names = model.feature_names if library == "xgboost" else model.feature_name()
    made_up = "f" if library == "xgboost" else "Column_"
    return list(names) if names and not all(name.startswith(made_up) for name in names) else None


def _answers(model: Any, library: str, example: Any) -> list[Any]:
    """Return what the model says, in the order in which onnxmltools puts the outputs."""
    import numpy as np

    if hasattr(model, "predict_proba"):
        return [np.asarray(model.predict(example)), np.asarray(model.predict_proba(example))]
    if hasattr(model, "get_params"):
        return [np.asarray(model.predict(example))]
    answer = np.asarray(model.predict(_matrix(model, example) if library == "xgboost" else example))
    objective = _objective(model, library)
    if objective.startswith(_ONE_OF_TWO) and answer.ndim == 1:
        return [(answer > _HALF).astype(np.int64), np.stack([1 - answer, answer], axis=1)]
    if objective.startswith(_ONE_OF_MANY):
        return [answer.argmax(axis=1), answer] if answer.ndim == 2 else [answer.astype(np.int64)]  # noqa: PLR2004 - rows, classes
    return [answer]


def _matrix(booster: Any, example: Any) -> Any:
    import xgboost

    return xgboost.DMatrix(as_rows(example), feature_names=booster.feature_names)


def _objective(booster: Any, library: str) -> str:
    if library == "lightgbm":
        return str(booster.dump_model(num_iteration=1).get("objective", ""))
    return str(json.loads(booster.save_config())["learner"]["objective"]["name"])
