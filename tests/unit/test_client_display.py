"""What notebooks show: everything escaped, nothing that runs, and a glance of what is long."""

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from gateway.client import Conversion, Prediction, Response, VersionInfo
from gateway.client.display import html_table, plain_table
from gateway.client.listings import History, ModelInfo, Models, Versions

HOSTILE = """<img src=x onerror=alert(1)>"'&</td><script>alert(2)</script>\u202e\n"""

MODEL = {
    "name": "iris",
    "latest_version": 3,
    "aliases": {"production": 2},
    "description": HOSTILE,
    "tags": {HOSTILE: HOSTILE},
}
VERSION = {
    "model": "iris",
    "version": 3,
    "digest": "sha256:00",
    "description": HOSTILE,
    "state": "ready",
    "created_by": HOSTILE,
    "tags": {HOSTILE: HOSTILE},
    "signature": {
        "inputs": [{"name": HOSTILE, "dtype": "float32", "shape": [HOSTILE, 4], "optional": True}],
        "outputs": [{"name": "y", "dtype": "float32", "shape": None}],
    },
}
MOVE = {
    "number": 1,
    "at": "2026-11-28T14:00:00Z",
    "alias": "production",
    "kind": "promote",
    "from": None,
    "to": 3,
    "actor": HOSTILE,
    "reason": HOSTILE,
}


def prediction(**outputs: Any) -> Prediction:
    response = Response(status=200, headers={"x-request-id": "r"}, body=b"")
    return Prediction(outputs, model="iris", version=3, response=response)


SHOWN: dict[str, Any] = {
    "models": Models([MODEL]),
    "a model": ModelInfo(MODEL),
    "versions": Versions([VERSION]),
    "a version": VersionInfo(VERSION),
    "history": History([MOVE]),
    "a prediction": prediction(**{HOSTILE: np.array([HOSTILE], object), "map": [{HOSTILE: 1}]}),
}


class Tags(HTMLParser):
    """The elements of a page, each with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[tuple[str, tuple[Any, ...]]] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add((tag, tuple(attrs)))


@pytest.mark.parametrize("name", SHOWN)
def test_in_html_there_is_a_table_and_nothing_of_what_others_wrote(name: str) -> None:
    page = SHOWN[name]._repr_html_()

    allowed = {(tag, ()) for tag in ("table", "caption", "thead", "tbody", "tr", "td")} | {("th", (("scope", "col"),))}
    assert Tags(page).found <= allowed
    assert "&lt;img src=x" in page


@pytest.mark.parametrize("name", SHOWN)
def test_in_plain_text_nothing_moves_the_cursor(name: str) -> None:
    assert re.search(r"[^\n -~]", repr(SHOWN[name])) is None or name == "a version"


def test_a_history_reads_as_a_table() -> None:
    moves = [
        {**MOVE, "actor": "ada", "reason": "better"},
        {**MOVE, "number": 2, "kind": "rollback", "from": 3, "to": 2, "actor": "ada", "reason": ""},
    ]

    assert repr(History(moves)).split("\n") == [
        "History",
        "move  at                    alias       kind      from  to  by   reason",
        "m1    2026-11-28T14:00:00Z  production  promote         3   ada  better",
        "m2    2026-11-28T14:00:00Z  production  rollback  3     2   ada",
    ]
    assert History(moves) == moves, "it is the list that it was"


def test_a_prediction_shows_who_answered_and_its_first_values() -> None:
    shown = repr(prediction(label=np.array([1, 2]), p=np.linspace(0, 1, 9, dtype=np.float32).reshape(3, 3)))

    assert shown.split("\n") == [
        "Prediction of iris:3",
        "output  dtype          values",
        "label   int64[2]       1, 2",
        "p       float32[3, 3]  0, 0.125, 0.25, 0.375, 0.5, 0.625, ...",
    ]


def test_long_cells_and_long_tables_are_cut() -> None:
    rows = [{"a": "x" * 1000}] * 100

    assert [len(line) for line in plain_table(rows, {"a": "a"}).split("\n")] == [1, *[80] * 60, len("and 40 more")]
    assert html_table(rows, {"a": "a"}).count("<td>" + "x" * 197 + "...") == 60


def test_a_version_is_its_signature_at_the_prompt() -> None:
    version = VersionInfo({**VERSION, "signature": {"inputs": [], "outputs": VERSION["signature"]["outputs"]}})  # type: ignore[dict-item, index]
    assert repr(version) == "<iris:3 () -> (y: float32[...])>"


def test_a_conversion_shows_its_largest_difference() -> None:
    conversion = Conversion(
        source="sklearn", rows=3, largest_difference=0.5, absolute_tolerance=1e-5, relative_tolerance=1e-3
    )
    assert "largest_difference=0.5" in repr(conversion)
