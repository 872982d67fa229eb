"""An MLflow server that answers as it is told, and what is made of its aliases and files."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.cli.import_mlflow import _wishes
from gateway.cli.mlflow_server import MlflowServer


def wished(aliases: dict[str, str], stages: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    model = {"aliases": [{"alias": alias, "version": number} for alias, number in aliases.items()]}
    found = _wishes(model, [{"version": number, "current_stage": stage} for number, stage in stages.items()])
    return found.aliases, found.ambiguous


@pytest.mark.parametrize(
    ("aliases", "stages", "moved", "ambiguous"),
    [
        ({"champion": "2"}, {"1": "None", "2": "Staging"}, {"champion": "2", "staging": "2"}, []),
        ({"Production": "5"}, {"3": "Production", "5": "None"}, {"production": "5"}, []),
        ({"production": "5"}, {"3": "Production"}, {"production": "5"}, []),
        ({"Prod_1": "5", "prod-1": "6", "a": "5"}, {}, {"a": "5"}, ["prod-1"]),
        ({"Production": "5", "production": "6"}, {"3": "Production"}, {}, ["production"]),
        ({}, {"3": "Production", "4": "Production"}, {"production": "4"}, []),
        ({"日本": "1"}, {"1": "Archived"}, {}, []),
    ],
    ids=["both", "in other letters", "before a stage", "two of one name", "and a stage", "two in a stage", "no name"],
)
def test_an_alias_goes_before_a_stage_and_two_of_one_name_do_not_move(
    aliases: dict[str, str], stages: dict[str, str], moved: dict[str, str], ambiguous: list[str]
) -> None:
    assert wished(aliases, stages) == (moved, ambiguous)


def test_two_aliases_of_one_name_are_told() -> None:
    model = {"aliases": [{"alias": "Prod_1", "version": "5"}, {"alias": "prod-1", "version": "6"}]}

    assert _wishes(model, []).words == [
        "the aliases Prod_1 and prod-1 would both be called prod-1 here: it was not moved"
    ]
