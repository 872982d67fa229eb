"""A DataFrame as inputs: what it means, and what is refused because it could mean two things."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gateway.client import UnusableArgument
from gateway.client.tables import COLUMNS, inputs_of_table, is_table, known_columns

ROWS = {"name": "x", "dtype": "float32", "shape": ["batch", 3]}
CITY = {"name": "city", "dtype": "string", "shape": [None, 1]}
AGE = {"name": "age", "dtype": "float32", "shape": [None, 1]}
COUNT = {"name": "count", "dtype": "int64", "shape": ["n"]}
EXTRA = {"name": "extra", "dtype": "float32", "shape": [], "optional": True}

PEOPLE = pd.DataFrame({"city": ["A", "B"], "age": [3, 4], "count": [5, 6]})
NUMBERS = pd.DataFrame({"a": [1, 4], "b": [2.5, np.nan], "c": [True, False]})


def test_a_table_is_known_without_importing_pandas() -> None:
    assert (is_table(PEOPLE), is_table(PEOPLE["age"]), is_table([[1]])) == (True, False, False)


def test_one_input_takes_the_rows_in_the_order_of_the_columns() -> None:
    found = inputs_of_table(NUMBERS, [ROWS, EXTRA], None)

    assert list(found) == ["x"]
    np.testing.assert_array_equal(found["x"], np.array([[1, 2.5, 1], [4, np.nan, 0]]))


def test_a_model_that_knows_its_columns_takes_them_in_any_order() -> None:
    found = inputs_of_table(NUMBERS[["c", "a", "b"]], [ROWS], ["a", "b", "c"])

    np.testing.assert_array_equal(found["x"], inputs_of_table(NUMBERS, [ROWS], None)["x"])


def test_several_inputs_are_the_columns_of_their_names() -> None:
    found = inputs_of_table(PEOPLE[["count", "age", "city"]], [CITY, AGE, COUNT, EXTRA], None)

    assert {name: array.tolist() for name, array in found.items()} == {
        "city": [["A"], ["B"]],
        "age": [[3.0], [4.0]],
        "count": [5, 6],
    }


@pytest.mark.parametrize("name", ["x", "anything"])
def test_one_column_is_the_one_input_whatever_it_is_called(name: str) -> None:
    table = pd.DataFrame({name: [1, 2]})
    assert inputs_of_table(table, [{**ROWS, "shape": ["n"]}], None)["x"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("column", "array"),
    [
        (pd.array([1, None], "Int64"), [[1.0], [np.nan]]),
        (pd.array([True, False], "boolean"), [[1.0], [0.0]]),
        (pd.array([0.5, 2.0], "Float32"), [[0.5], [2.0]]),
    ],
    ids=["Int64 with a gap", "boolean", "Float32"],
)
def test_pandas_own_types_become_floats(column: Any, array: Any) -> None:
    found = inputs_of_table(pd.DataFrame({"age": column}), [AGE], None)["age"]
    np.testing.assert_array_equal(found, np.array(array))


def test_categories_are_their_texts() -> None:
    table = pd.DataFrame({"city": pd.Categorical(["B", "A"])})
    assert inputs_of_table(table, [CITY], None)["city"].tolist() == [["B"], ["A"]]


@pytest.mark.parametrize(
    ("table", "specs", "columns", "words"),
    [
        (PEOPLE.drop(columns="age"), [CITY, AGE, COUNT], None, "the table lacks age; the model takes the columns"),
        (PEOPLE.assign(id=1), [CITY, AGE, COUNT], None, "the table has besides id; the model takes the columns"),
        (NUMBERS.rename(columns={"c": "d"}), [ROWS], ["a", "b", "c"], "lacks c, and has besides d"),
        (NUMBERS.rename(columns={"c": "x"}), [ROWS], None, "the table has a column x, as the model's only input"),
        (PEOPLE.set_axis(["a", "a", "b"], axis=1), [ROWS], None, "two columns of the table have the same name"),
        (
            PEOPLE.assign(city=["A", None]),
            [CITY, AGE, COUNT],
            None,
            "column city has 1 missing values, for which string",
        ),
        (
            PEOPLE.assign(count=[5, None]),
            [CITY, AGE, COUNT],
            None,
            "column count has 1 missing values, for which int64",
        ),
        (NUMBERS.assign(c=pd.to_datetime("2026-11-22")), [ROWS], None, "column c holds datetime64"),
        (NUMBERS.assign(c=pd.to_timedelta("1s")), [ROWS], None, "column c holds timedelta64"),
        (PEOPLE, [CITY, {**AGE, "shape": [None, 4]}, COUNT], None, "a column of the table cannot be the input age"),
    ],
    ids=[
        "a column is missing",
        "one too many",
        "another name than in training",
        "a column is called as the input",
        "names twice",
        "a text is missing",
        "a whole number is missing",
        "a moment",
        "a duration",
        "an input of several columns",
    ],
)
def test_what_is_not_clear_is_refused_with_words(table: Any, specs: Any, columns: Any, words: str) -> None:
    with pytest.raises(UnusableArgument) as caught:
        inputs_of_table(table, specs, columns)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("note", "known"),
    [
        (json.dumps(["a", "b"]), ["a", "b"]),
        ("[", None),
        ("[1]", None),
        ("[]", None),
        ("null", None),
        (None, None),
        (7, None),
    ],
)
def test_names_of_columns_are_read_where_there_are_any(note: Any, known: Any) -> None:
    assert known_columns({} if note is None else {COLUMNS: note}) == known
