"""What requests bring, as the client gives it: rows for a DataFrame, and tables for people."""

from typing import Any

from gateway.client.input_report import InputReport
from tests.unit.test_client_display import HOSTILE

ALL: dict[str, Any] = {"count": 40, "mean": 5.84333, "std": 0.5, "nan_share": 0.0, "infinite_share": 0.0}
RECENT: dict[str, Any] = {**ALL, "count": 20, "mean": 5.84333}
EXAMPLES: dict[str, Any] = {"count": 8, "mean": 5.0, "std": 0.25, "nan_share": 0.0, "infinite_share": 0.0}
UNKNOWN: dict[str, Any] = {"count": 0, "mean": None, "std": None, "nan_share": None, "infinite_share": None}

DOCUMENT: dict[str, Any] = {
    "model": "iris",
    "version": 3,
    "host": "host-1",
    "since": "2026-11-28T14:00:00Z",
    "looked_at": 40,
    "skipped": 2,
    "inputs": [
        {
            "name": "x",
            "dtype": "float32",
            "requests": 40,
            "shift": 3.37332,
            "columns": [
                {
                    "column": 0,
                    "name": "length",
                    **ALL,
                    "unseen_share": None,
                    "recent": RECENT,
                    "reference": EXAMPLES,
                    "shift": 3.37332,
                }
            ],
        },
        {
            "name": "city",
            "dtype": "string",
            "requests": 0,
            "shift": None,
            "columns": [
                {
                    "column": None,
                    "name": None,
                    **UNKNOWN,
                    "unseen_share": 0.125,
                    "recent": UNKNOWN,
                    "reference": None,
                    "shift": None,
                }
            ],
        },
    ],
    "left_out": [],
}


def test_rows_have_what_a_table_wants() -> None:
    assert InputReport(DOCUMENT).rows == [
        {
            "input": "x",
            "dtype": "float32",
            "column": 0,
            "name": "length",
            **ALL,
            "unseen_share": None,
            "shift": 3.37332,
            **{f"recent_{name}": value for name, value in RECENT.items()},
            **{f"reference_{name}": value for name, value in EXAMPLES.items()},
        },
        {
            "input": "city",
            "dtype": "string",
            "column": None,
            "name": None,
            **UNKNOWN,
            "unseen_share": 0.125,
            "shift": None,
            **{f"recent_{name}": value for name, value in UNKNOWN.items()},
            **{f"reference_{name}": None for name in EXAMPLES},
        },
    ]


def test_shifts_are_by_input() -> None:
    assert InputReport(DOCUMENT).shifts == {"x": 3.37332, "city": None}


def test_at_a_prompt_it_is_a_table() -> None:
    assert repr(InputReport(DOCUMENT)).split("\n") == [
        "iris:3 on host-1: 40 requests looked at, 2 skipped",
        "input  column  values  mean   std  NaN  infinite  unseen  recent mean  examples' mean  examples' std  shift",
        "x      length  40      5.843  0.5  0 %  0 %               5.843        5               0.25           3.373",
        "city           0                                  12.5 %",
    ]


def test_it_is_the_gateways_own_document() -> None:
    assert InputReport(DOCUMENT) == DOCUMENT


def test_in_a_notebook_nothing_of_what_others_wrote_is_read() -> None:
    hostile = {**DOCUMENT, "inputs": [{**DOCUMENT["inputs"][0], "name": HOSTILE}]}
    assert "<img" not in InputReport(hostile)._repr_html_()
