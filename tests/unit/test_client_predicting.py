"""Which version inputs are made for, where an alias moves between a look and an answer."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gateway.client import Client, InputMismatch, Response

X = {"name": "x", "dtype": "float32", "shape": ["n", 2]}
Y = {"name": "y", "dtype": "float32", "shape": ["n", 2]}


class Moving:
    """A transport to two versions of the model ``m``, each of which answers what it was sent; ``live`` answers."""

    def __init__(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
        self.versions = {1: first, 2: second}
        self.live = self.answering = 1
        self.asked: list[tuple[str, Any]] = []

    def request(self, method: str, path: str, *, body: Any = None, **_: Any) -> Response:
        if method == "GET":
            number = int(path.rpartition("/")[2]) if "/versions/" in path else self.live
            return self._answer({"model": "m", "version": number, **self.versions[number]})
        inputs = json.loads(body)["inputs"]
        self.asked.append((path, inputs["x"]))
        number = int(path[2]) if path.startswith("/v") else self.answering
        return self._answer({"model": "m", "version": number, "outputs": {"y": inputs["x"]}})

    def close(self) -> None:
        pass

    def move(self) -> None:
        self.live = self.answering = 2

    @staticmethod
    def _answer(document: Mapping[str, Any]) -> Response:
        headers = {"content-type": "application/json"}
        return Response(status=200, headers=headers, body=json.dumps(document).encode())


def version(spec: Mapping[str, Any] = X, columns: list[str] | None = None) -> dict[str, Any]:
    metadata = {} if columns is None else {"sardonyx.columns": json.dumps(columns)}
    return {"signature": {"inputs": [spec], "outputs": [Y]}, "metadata": metadata}


TABLE = pd.DataFrame({"a": [1.0], "b": [2.0]})


@pytest.mark.parametrize("is_canary", [False, True], ids=["an alias that moved", "a canary"])
def test_a_table_is_read_as_the_version_that_answers_does(*, is_canary: bool) -> None:
    gateway = Moving(version(columns=["a", "b"]), version(columns=["b", "a"]))
    client = Client(transport=gateway)
    before = client.predict("m", TABLE)
    gateway.live, gateway.answering = (1 if is_canary else 2), 2

    after = client.predict("m", TABLE)

    assert (before.version, before["y"].tolist()) == (1, [[1, 2]])
    assert (after.version, after["y"].tolist()) == (2, [[2, 1]])
    assert gateway.asked[1:] == [("/models/m/predict", [[1, 2]]), ("/v2/models/m/predict", [[2, 1]])]


def test_a_moved_alias_costs_one_request_more_once() -> None:
    gateway = Moving(version(columns=["a", "b"]), version(columns=["b", "a"]))
    client = Client(transport=gateway)
    client.predict("m", TABLE)
    gateway.move()
    client.predict("m", TABLE)

    assert client.predict("m", TABLE)["y"].tolist() == [[2, 1]]
    assert [path for path, _ in gateway.asked[3:]] == ["/models/m/predict"]


def test_where_both_versions_read_the_same_one_answer_is_enough() -> None:
    gateway = Moving(version(columns=["a", "b"]), version({**X, "shape": ["batch", 2]}, columns=["a", "b"]))
    client = Client(transport=gateway)
    client.predict("m", TABLE)
    gateway.move()

    assert client.predict("m", TABLE).version == 2
    assert len(gateway.asked) == 2


def test_inputs_of_another_type_are_made_anew_for_the_version_that_answers() -> None:
    gateway = Moving(version({**X, "dtype": "float16"}), version())
    client = Client(transport=gateway)
    client.predict("m", [[0.1, 0.2]])
    gateway.move()

    answer = client.predict("m", [[0.1, 0.2]])

    np.testing.assert_array_equal(answer["y"], np.array([[0.1, 0.2]], np.float32))


class Interrupted:
    """An array that is read while somebody else uses the same client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __array__(self, *_: Any, **__: Any) -> Any:
        self._client.predict("m", [[0.5, 1.5]])
        return np.array([[0.25, 0.75]])


def test_whoever_finds_an_alias_moved_by_anothers_look_tries_again_too() -> None:
    gateway = Moving(version({**X, "dtype": "int64"}), version())
    client = Client(transport=gateway)
    client.predict("m", [[1, 2]])
    gateway.move()

    assert client.predict("m", {"x": Interrupted(client)})["y"].tolist() == [[0.25, 0.75]]


def test_inputs_that_fit_neither_version_are_refused() -> None:
    gateway = Moving(version({**X, "dtype": "int64"}), version({**X, "dtype": "int32"}))
    client = Client(transport=gateway)
    client.predict("m", [[1, 2]])
    gateway.move()

    with pytest.raises(InputMismatch):
        client.predict("m", [[0.5, 0.5]])
