"""The hostile files are all there, come out the same each time, and are answered as they say."""

import re
from pathlib import Path

import pytest

from gateway.web.problems import status_of
from registry.errors import ServiceError
from tests.hostile_set.files import FileCase, file_cases
from tests.support.inspecting import inspect_files

CASES = {case.name: case for case in file_cases()}
KINDS = {
    "a constant that is never folded",
    "a graph that makes no sense",
    "a kernel that heeds no cancellation",
    "a loop without an end",
    "a place that is not there",
    "a rank that a kernel does not expect",
    "a run that grows",
    "a size from the request",
    "a type that few have",
    "a weight in another file",
    "an attribute that cannot be",
    "another format",
    "bytes changed",
    "cut off",
    "data of a wrong length",
    "division in a run",
    "division of constants",
    "fields changed",
    "functions that call themselves",
    "functions that double",
    "functions that redefine the standard",
    "limits",
    "names of tensors",
    "nested deep",
    "parts that are empty",
    "texts besides",
    "trees",
    "very many parts",
    "what nobody knows",
    "where a weight can be",
    "work for who folds constants",
}
SAMPLE = [
    "a weight in another file: '/etc/shadow'",
    "division of constants: int64 by a constant 0",
    "functions that call themselves: f calls f",
    "functions that double: 2^5 nodes",
    "names of tensors: a bell",
    "nested deep: 1,000 branches",
    "another format: zip",
]
OUTCOME = re.compile(r"20[01]|reset|[45][0-9]{2} [a-z_]+")


def registered(folder: Path, case: FileCase) -> str:
    try:
        inspect_files(folder, {"model.onnx": case.build()})
    except ServiceError as error:
        return f"{status_of(error)} {error.code}"
    return "201"


def test_every_class_that_was_seen_to_hurt_is_there() -> None:
    assert {case.kind for case in CASES.values()} == KINDS


def test_names_are_unique_and_there_are_hundreds() -> None:
    assert len(CASES) == len(file_cases())
    assert len(CASES) >= 200


def test_outcomes_are_written_in_one_way() -> None:
    outcomes = {
        outcome
        for case in CASES.values()
        for allowed in (case.registers, *(feed.outcomes for feed in case.feeds))
        for outcome in allowed
    }
    assert [outcome for outcome in outcomes if not OUTCOME.fullmatch(outcome)] == []


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.kind != "limits"][::7])
def test_a_file_comes_out_the_same_each_time(name: str) -> None:
    assert CASES[name].build() == CASES[name].build()


@pytest.mark.parametrize("name", SAMPLE)
def test_what_is_said_of_a_file_is_what_is_answered(tmp_path: Path, name: str) -> None:
    assert registered(tmp_path, CASES[name]) in CASES[name].registers
