"""The notebook of the docs runs from end to end against a real gateway, and its stored outputs are what it prints."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.notebook import code_cells, execute, read_notebook
from tests.notebook.__main__ import NOTEBOOK, PORT
from tests.support.gateway_process import GatewayProcess

_VARIABLE = [
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "<moment>"),
    (re.compile(r"sha256:[0-9a-f]{64}"), "<digest>"),
    (re.compile(r"\b\d+(\.\d+)?e-\d\d\b"), "<tiny>"),
]
"""What differs from one run to the next, or by the processor: moments, digests, rounding."""

_DECIMAL = re.compile(r"\b\d+\.\d+\b")


def settled(text: str) -> str:
    for pattern, word in _VARIABLE:
        text = pattern.sub(word, text)
    rounded = _DECIMAL.sub(lambda number: f"{float(number[0]):.2g}", text)
    return re.sub(r" {2,}", "  ", rounded)


def outputs(notebook: dict[str, Any]) -> list[list[str]]:
    """What each cell has printed and returned, in plain text."""
    return [
        [settled("".join(output.get("text") or output["data"]["text/plain"])) for output in cell["outputs"]]
        for cell in code_cells(notebook)
    ]


@pytest.fixture(scope="module")
def executed(gateway: GatewayProcess) -> dict[str, Any]:
    return execute(read_notebook(NOTEBOOK), replace={PORT: f":{urlsplit(gateway.url).port}"})


def test_it_prints_what_is_stored(executed: dict[str, Any]) -> None:
    assert outputs(read_notebook(NOTEBOOK)) == outputs(executed)


def test_it_shows_tables_where_notebooks_can(executed: dict[str, Any]) -> None:
    data = [output["data"] for cell in code_cells(executed) for output in cell["outputs"] if "data" in output]
    captions = re.findall(r"<caption>(.*?)</caption>", "".join("".join(each.get("text/html", [])) for each in data))
    assert captions == ["wine:1", "Prediction of wine:1", "Versions", "Prediction of wine:2", "History", "Model wine"]


def test_it_goes_from_training_to_promotion_and_back(executed: dict[str, Any]) -> None:
    source = "".join("".join(cell["source"]) for cell in code_cells(executed))
    steps = [".fit(", ".register(", ".promote(", ".predict(", "InputMismatch", ".canary(", ".rollback(", ".history("]
    places = [source.index(step) for step in steps]
    assert places == sorted(places)


def test_it_is_a_notebook_of_version_4() -> None:
    notebook = read_notebook(NOTEBOOK)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    assert {cell["cell_type"] for cell in notebook["cells"]} == {"markdown", "code"}
