"""What requests bring to a version, as the wire has it."""

import socket
from dataclasses import replace

import orjson
import pytest

from gateway.input_findings import ColumnFound, VersionFound
from gateway.web.inputs import inputs_json
from registry.input_statistics import Moments
from tests.support.serving_models import make_version
from tests.support.signatures import SHOP, tensor

NOTHING = {"count": 0, "mean": None, "std": None, "nan_share": None, "infinite_share": None}


def test_before_anything_has_come_every_input_is_there_and_nothing_is_said_of_it() -> None:
    version = make_version(inputs=(tensor("x", "float32", ("n", 2)), tensor("y", "int64", ())))
    empty = {"name": None, **NOTHING, "unseen_share": None, "recent": NOTHING, "reference": None, "shift": None}
    assert inputs_json(version, VersionFound()) == {
        "model": "iris",
        "version": 1,
        "host": socket.gethostname(),
        "since": None,
        "looked_at": 0,
        "skipped": 0,
        "inputs": [
            {
                "name": "x",
                "dtype": "float32",
                "requests": 0,
                "shift": None,
                "columns": [{"column": 0, **empty}, {"column": 1, **empty}],
            },
            {"name": "y", "dtype": "int64", "requests": 0, "shift": None, "columns": [{"column": None, **empty}]},
        ],
        "left_out": [],
    }


def test_live_numbers_stand_beside_those_of_the_examples() -> None:
    version = make_version(inputs=SHOP.inputs[:2])
    live = Moments(requests=20, count=80, finite=40, mean=7.0, squares=160.0, nan=20, infinite=20)
    recent = Moments(requests=20, count=20, finite=20, mean=9.0, squares=20.0)
    reference = Moments(requests=2, count=2, finite=2, mean=3.0, squares=8.0)
    found = VersionFound(
        looked_at=25,
        skipped=5,
        since=1_700_000_000.5,
        columns={
            ("user", 0): ColumnFound(live=live, recent=recent, reference=reference),
            ("words", 0): ColumnFound(live=Moments(requests=21, count=21), texts=20, unseen=5),
        },
    )
    document = inputs_json(version, found)
    user, words = document["inputs"]
    assert (document["looked_at"], document["skipped"], document["since"]) == (25, 5, "2023-11-14T22:13:20.500000Z")
    assert user == {
        "name": "user",
        "dtype": "int64",
        "requests": 20,
        "shift": 3.0,
        "columns": [
            {
                "column": None,
                "name": None,
                "count": 80,
                "mean": 7.0,
                "std": 2.0,
                "nan_share": 0.25,
                "infinite_share": 0.25,
                "unseen_share": None,
                "shift": 3.0,
                "recent": {"count": 20, "mean": 9.0, "std": 1.0, "nan_share": 0.0, "infinite_share": 0.0},
                "reference": {"count": 2, "mean": 3.0, "std": 2.0, "nan_share": 0.0, "infinite_share": 0.0},
            }
        ],
    }
    assert words["columns"][0] == {
        "column": 0,
        "name": None,
        "count": 21,
        "mean": None,
        "std": None,
        "nan_share": None,
        "infinite_share": None,
        "unseen_share": 0.25,
        "shift": None,
        "recent": {**NOTHING, "count": 0},
        "reference": None,
    }


def test_a_mean_of_few_numbers_is_not_told_however_many_requests_there_were() -> None:
    version = make_version(inputs=(tensor("y", "float32", ()),))
    found = VersionFound(
        columns={("y", 0): ColumnFound(live=Moments(requests=30, count=30, finite=1, mean=7.0, nan=29))}
    )
    (column,) = inputs_json(version, found)["inputs"][0]["columns"]
    assert (column["count"], column["mean"], column["std"]) == (30, None, None)


def test_nothing_of_it_is_beyond_what_json_can_say() -> None:
    version = make_version(inputs=(tensor("y", "float32", ()),))
    huge = Moments(requests=30, count=30, finite=30, mean=1e308, squares=1.7976931348623157e308)
    small = Moments(requests=2, count=2, finite=2, mean=-1e308, squares=1e-300)
    document = inputs_json(
        version, VersionFound(columns={("y", 0): ColumnFound(live=huge, recent=huge, reference=small)})
    )
    (column,) = document["inputs"][0]["columns"]
    assert (column["mean"], column["std"], column["shift"]) == (1e308, None, None)
    assert orjson.loads(orjson.dumps(document)) == document


@pytest.mark.parametrize(
    ("note", "names"),
    [
        ('["length", "width"]', ["length", "width"]),
        ('["length"]', [None, None]),
        ('["length", 2]', [None, None]),
        ('["length", "\\ud800"]', [None, None]),
        ('["length", "a\\nb"]', [None, None]),
        ('{"0": "length"}', [None, None]),
        ("[" * 100_000, [None, None]),
        ("length", [None, None]),
    ],
    ids=["names", "too few", "no text", "half a character", "a line end", "no list", "a deep one", "no JSON"],
)
def test_columns_are_called_as_the_graph_calls_them_if_it_can_be_read(note: str, names: list[str | None]) -> None:
    version = make_version(inputs=(tensor("x", "float32", ("n", 2)),))
    noted = replace(version, inspection=replace(version.inspection, metadata={"sardonyx.columns": note}))
    (looked,) = inputs_json(noted, VersionFound())["inputs"]
    assert [(column["column"], column["name"]) for column in looked["columns"]] == list(enumerate(names))


def test_names_of_columns_are_those_of_an_only_input() -> None:
    inputs = (tensor("x", "float32", ("n", 2)), tensor("z", "float32", ("n", 2)))
    version = make_version(inputs=inputs)
    noted = replace(version, inspection=replace(version.inspection, metadata={"sardonyx.columns": '["a", "b"]'}))
    looked = inputs_json(noted, VersionFound())["inputs"]
    assert [column["name"] for each in looked for column in each["columns"]] == [None] * 4
