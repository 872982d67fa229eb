"""What is converted, registered and held against its original, through a running gateway."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from gateway.client import Client, ConversionMismatch
from tests.support.gateway_process import GatewayProcess


@pytest.fixture
def here(gateway: GatewayProcess) -> Iterator[Client]:
    with Client(gateway.url) as connected:
        yield connected


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return request.node.originalname.removeprefix("test_").replace("_", "-")[:100]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_estimator_is_converted_registered_and_checked(here: Client, name: str, dtype: type[Any]) -> None:
    rows, labels = load_iris(return_X_y=True)
    rows = rows.astype(dtype)
    estimator = LogisticRegression(max_iter=500).fit(rows, np.array(["setosa", "versicolor", "virginica"])[labels])

    version = here.register(estimator, name=f"{name}-{rows.dtype}", example=rows[:10])

    answer = here.predict(version.reference, rows)
    assert [spec["name"] for spec in version.inputs] == ["x"]
    assert answer["label"].tolist() == estimator.predict(rows).tolist()
    np.testing.assert_allclose(answer["probabilities"], estimator.predict_proba(rows), rtol=1e-4, atol=1e-6)


def test_a_conversion_that_says_something_else_is_reported_with_its_version(here: Client, name: str) -> None:
    rows, _ = load_iris(return_X_y=True)
    estimator = LinearRegression().fit(rows, rows[:, 0])
    honest = estimator.predict
    estimator.predict = lambda asked: honest(asked) + 0.5

    with pytest.raises(ConversionMismatch) as caught:
        here.register(estimator, name=name, example=rows[:10])

    error = caught.value
    assert (error.reference, error.output) == (f"{name}:1", "variable")
    assert error.largest_difference == pytest.approx(0.5)
    assert here.show(f"{name}:1")["state"] == "ready"


def test_how_a_conversion_went_is_kept_with_the_version(here: Client, name: str) -> None:
    rows, labels = load_iris(return_X_y=True)
    estimator = LogisticRegression(max_iter=500).fit(rows, labels)

    version = here.register(estimator, name=name, example=rows[:10], tags={"team": "flowers"})

    assert version.conversion is not None
    kept = {**version.conversion.tags, "team": "flowers"}
    assert kept["converted-from"].endswith(" LogisticRegression")
    assert version.conversion.rows == 10
    assert (here.show(version.reference)["tags"], version.document["tags"], version.is_new) == (kept, kept, True)
    assert here.register(estimator, name=name, example=rows[:10]).is_new is False


def test_the_newest_conversion_is_what_the_tags_tell_of(here: Client, name: str) -> None:
    rows, labels = load_iris(return_X_y=True)
    estimator = LogisticRegression(max_iter=500).fit(rows, labels)
    here.register(estimator, name=name, example=rows[:10], tags={"team": "flowers"})

    again = here.register(estimator, name=name, example=rows[:20])

    assert again.conversion is not None
    assert " in 20 rows " in again.conversion.tags["conversion-difference"]
    assert again.document["tags"] == {**again.conversion.tags, "team": "flowers"} == here.show(f"{name}:1")["tags"]


def test_a_tag_that_somebody_sets_while_a_conversion_is_compared_stays(here: Client, name: str) -> None:
    rows, labels = load_iris(return_X_y=True)
    estimator = LogisticRegression(max_iter=500).fit(rows, labels)
    honest = here.predict

    def meanwhile(*asked: Any, **how: Any) -> Any:
        with Client(here._address) as somebody_else:
            somebody_else.annotate(name, 1, tags={"approved": "yes"})
        return honest(*asked, **how)

    here.predict = meanwhile  # type: ignore[method-assign]  # the moment between the registration and its tags
    version = here.register(estimator, name=name, example=rows[:10])

    assert version.conversion is not None
    assert here.show(f"{name}:1")["tags"] == {**version.conversion.tags, "approved": "yes"}


def test_a_table_is_predicted_as_it_is(here: Client, name: str) -> None:
    people = pd.DataFrame({"city": ["A", "B", "C"] * 10, "age": range(30)})
    columns = ColumnTransformer([("city", OneHotEncoder(), ["city"]), ("age", StandardScaler(), ["age"])])
    pipeline = make_pipeline(columns, LogisticRegression()).fit(people, people["age"] > 15)

    reference = here.register(pipeline, name=name, example=people).reference
    answer = here.predict(reference, people[["age", "city"]])

    assert answer["label"].astype(bool).tolist() == pipeline.predict(people).tolist()
    assert list(here.predict(reference, people, outputs=["probabilities"])) == ["probabilities"]
