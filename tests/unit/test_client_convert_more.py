"""Tables, pipelines with text, xgboost and lightgbm: each is converted for real and says the same in ONNX Runtime."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier

from gateway.client import UnusableArgument, VersionInfo
from gateway.client.comparison import compare
from gateway.client.convert import prepare
from gateway.client.tables import inputs_of_table, known_columns
from tests.support.environments import is_unattended

ROWS, LABELS = load_iris(return_X_y=True)
NAMES = ["sepal length", "sepal width", "petal length", "petal width"]
TABLE = pd.DataFrame(ROWS, columns=NAMES)
PEOPLE = pd.DataFrame(
    {"city": ["A", "B", "C"] * 20, "age": range(60), "income": np.linspace(0, 1e5, 60), "owns": [True, False] * 30}
)
OLD = (PEOPLE["age"] > 30).astype(int)
QUIET = {"n_estimators": 5, "verbose": -1}

Trained = Callable[[], tuple[Any, Any]]
"""Trains a model, and returns it with rows as it takes them."""


def library(name: str) -> Any:
    """Return a library, or leave the test out where the machine lacks what it needs."""
    try:
        return importlib.import_module(name)
    except OSError as error:  # lightgbm needs the system's libgomp
        if is_unattended():
            raise
        pytest.skip(f"{name} does not run here: {error}")


def by_column(last: Any, *, numbers: tuple[str, ...] = ("age", "income"), texts: tuple[str, ...] = ("city",)) -> Any:
    encoder = OneHotEncoder(handle_unknown="ignore")
    chosen = ColumnTransformer([("text", encoder, list(texts)), ("number", StandardScaler(), list(numbers))])
    return Pipeline([("columns", chosen), ("last", last)]).fit(PEOPLE, OLD)


def xgb(kind: str, rows: Any = ROWS, labels: Any = LABELS) -> tuple[Any, Any]:
    return getattr(library("xgboost"), kind)(n_estimators=5).fit(rows, labels), rows


def lgbm(kind: str, rows: Any = ROWS, labels: Any = LABELS) -> tuple[Any, Any]:
    return getattr(library("lightgbm"), kind)(**QUIET).fit(rows, labels), rows


def xgb_booster(objective: str, rows: Any = ROWS, labels: Any = LABELS, **more: Any) -> tuple[Any, Any]:
    xgboost = library("xgboost")
    return xgboost.train({"objective": objective, **more}, xgboost.DMatrix(rows, labels), 5), rows


def lgbm_booster(objective: str, rows: Any = ROWS, labels: Any = LABELS, **more: Any) -> tuple[Any, Any]:
    lightgbm = library("lightgbm")
    return lightgbm.train({"objective": objective, "verbose": -1, **more}, lightgbm.Dataset(rows, labels), 5), rows


CLASSES, VALUE = ["label", "probabilities"], ["variable"]
TRAINED: dict[str, tuple[Trained, list[str], list[str]]] = {
    "a forest on a table": (lambda: (RandomForestClassifier(5).fit(TABLE, LABELS), TABLE), ["x"], CLASSES),
    "text and numbers, classified": (lambda: (by_column(LogisticRegression()), PEOPLE), list(PEOPLE), CLASSES),
    "text and numbers, a value": (lambda: (by_column(LinearRegression()), PEOPLE), list(PEOPLE), VALUE),
    "booleans as categories": (
        lambda: (by_column(LogisticRegression(), texts=("city", "owns")), PEOPLE),
        list(PEOPLE),
        CLASSES,
    ),
    "xgboost on a table": (lambda: xgb("XGBClassifier", TABLE), ["x"], CLASSES),
    "xgboost, two classes": (lambda: xgb("XGBClassifier", labels=LABELS > 0), ["x"], CLASSES),
    "xgboost, a value": (lambda: xgb("XGBRegressor", labels=ROWS[:, 0]), ["x"], VALUE),
    "xgboost's booster, two classes": (lambda: xgb_booster("binary:logistic", TABLE, LABELS > 0), ["x"], CLASSES),
    "its probabilities": (lambda: xgb_booster("multi:softprob", num_class=3), ["x"], CLASSES),
    "its classes": (lambda: xgb_booster("multi:softmax", num_class=3), ["x"], CLASSES),
    "its value": (lambda: xgb_booster("reg:squarederror", labels=ROWS[:, 0]), ["x"], VALUE),
    "lightgbm on a table": (lambda: lgbm("LGBMClassifier", TABLE), ["x"], CLASSES),
    "lightgbm, names": (lambda: lgbm("LGBMClassifier", labels=np.array(["a", "b", "c"])[LABELS]), ["x"], CLASSES),
    "lightgbm, a value": (lambda: lgbm("LGBMRegressor", labels=ROWS[:, 0]), ["x"], VALUE),
    "lightgbm's booster, two classes": (lambda: lgbm_booster("binary", TABLE, LABELS > 0), ["x"], CLASSES),
    "its three classes": (lambda: lgbm_booster("multiclass", num_class=3), ["x"], CLASSES),
    "its number": (lambda: lgbm_booster("regression", labels=ROWS[:, 0]), ["x"], VALUE),
    "xgboost in a pipeline": (
        lambda: (
            make_pipeline(StandardScaler(), library("xgboost").XGBClassifier(n_estimators=5)).fit(ROWS, LABELS),
            ROWS,
        ),
        ["x"],
        CLASSES,
    ),
    "lightgbm behind text": (
        lambda: (by_column(library("lightgbm").LGBMRegressor(**QUIET)), PEOPLE),
        list(PEOPLE),
        VALUE,
    ),
}


@pytest.mark.parametrize("name", TRAINED)
def test_a_model_says_the_same_as_its_graph(name: str) -> None:
    train, inputs, outputs = TRAINED[name]
    model, rows = train()

    submission = prepare(model, example=rows[:20])
    session = onnxruntime.InferenceSession(b"".join(submission.files[0].chunks()))

    assert [spec.name for spec in session.get_inputs()] == inputs
    assert [(spec.name, spec.shape[0]) for spec in session.get_outputs()] == [(output, None) for output in outputs]
    assert submission.original is not None
    answer = dict(
        zip(outputs, session.run(None, dict(zip(inputs, submission.original.inputs, strict=True))), strict=True)
    )
    specs = [{"name": output, "dtype": "float32", "shape": None} for output in outputs]
    version = VersionInfo({"model": "m", "version": 1, "signature": {"inputs": [], "outputs": specs}})
    assert compare(version, original=submission.original, answer=answer).rows == 20


@pytest.mark.parametrize(
    ("estimator", "dtype"),
    [
        (LogisticRegression(max_iter=500), "tensor(double)"),
        (DecisionTreeClassifier(), "tensor(float)"),
        (RandomForestRegressor(3), "tensor(float)"),
        (GradientBoostingRegressor(n_estimators=3), "tensor(float)"),
        (SVR(), "tensor(float)"),
        (SVC(), "tensor(double)"),
        (KNeighborsClassifier(), "tensor(double)"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_doubles_stay_doubles_where_a_runtime_can_load_that(estimator: Any, dtype: str) -> None:
    submission = prepare(estimator.fit(ROWS, LABELS), example=ROWS[:20])
    session = onnxruntime.InferenceSession(b"".join(submission.files[0].chunks()))

    assert submission.original is not None
    first = session.run(None, {"x": submission.original.inputs[0]})[0]
    assert session.get_inputs()[0].type == dtype
    np.testing.assert_allclose(np.squeeze(first), submission.original.outputs[0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["a forest on a table", "xgboost on a table", "xgboost's booster, two classes", "lightgbm on a table"]
)
def test_a_graph_knows_its_columns_and_takes_them_in_any_order(name: str) -> None:
    model, rows = TRAINED[name][0]()
    submission = prepare(model, example=rows[:20])
    session = onnxruntime.InferenceSession(b"".join(submission.files[0].chunks()))

    columns = known_columns(session.get_modelmeta().custom_metadata_map)

    assert columns == NAMES
    spec = {"name": "x", "dtype": "float64", "shape": [None, 4]}
    np.testing.assert_array_equal(inputs_of_table(TABLE[NAMES[::-1]], [spec], columns)["x"], ROWS)


def test_names_that_were_taken_away_for_the_conversion_are_given_back() -> None:
    booster, rows = xgb_booster("binary:logistic", TABLE, LABELS > 0)
    prepare(booster, example=rows[:5])
    assert booster.feature_names == NAMES


@pytest.mark.parametrize(
    ("model", "example", "words"),
    [
        (LinearRegression().fit(ROWS, LABELS), PEOPLE["age"], "the example is a table of rows of one numeric dtype"),
        (LinearRegression(), ROWS[:2], "skl2onnx cannot convert the model: "),
    ],
    ids=["a column alone", "not fitted"],
)
def test_what_cannot_be_converted_is_refused_with_the_reason(model: Any, example: Any, words: str) -> None:
    with pytest.raises(UnusableArgument) as caught:
        prepare(model, example=example)
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "float64"])
def test_what_a_column_of_pandas_own_types_lacks_is_nan(dtype: str) -> None:
    table = pd.DataFrame({"a": pd.array([1, None, 0, 1] * 5, dtype="Float64").astype(dtype), "b": np.arange(20.0)})
    model = make_pipeline(SimpleImputer(), LinearRegression()).fit(table, range(20))

    rows = prepare(model, example=table)
    whole = prepare(model, example=table.dropna())

    assert rows.original is not None
    assert whole.original is not None
    np.testing.assert_array_equal(rows.original.inputs[0][:, 0], [1, np.nan, 0, 1] * 5)
    np.testing.assert_array_equal(whole.original.inputs[0][:, 0], [1, 0, 1] * 5)


def test_so_it_is_for_each_input_of_a_pipeline_over_a_table() -> None:
    table = pd.DataFrame({"city": ["A", "B"] * 10, "age": pd.array([1, None, 0, 1] * 5, dtype="Int64")})
    columns = ColumnTransformer([("city", OneHotEncoder(), ["city"]), ("age", SimpleImputer(), ["age"])])

    submission = prepare(make_pipeline(columns, LogisticRegression()).fit(table, [0, 1] * 10), example=table)

    assert submission.original is not None
    np.testing.assert_array_equal(submission.original.inputs[1], np.array([[1], [np.nan], [0], [1]] * 5, np.float32))


def test_a_column_that_is_no_numbers_is_named() -> None:
    booster, _ = xgb_booster("binary:logistic", TABLE, LABELS > 0)
    with pytest.raises(UnusableArgument, match=r"^column city holds (str|object): the example is a table of rows"):
        prepare(booster, example=PEOPLE)
