"""What is written as YAML reads as what it was."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.deployment.yaml_text import without_comments, yaml_of

TEXTS = st.text(max_size=20) | st.sampled_from(
    [
        "",
        "no",
        "Off",
        "~",
        "1",
        "0x1F",
        "1e3",
        "12:30",
        "8Gi",
        "25%",
        "15s",
        "a: b",
        "a #b",
        "- a",
        "*",
        "'",
        '"',
        "\n",
        "a\nb\n",
        " a\n",
        "a\n\nb\n",
        "a \nb\n",
        "2026-11-29",
        "s3://models/store",
        "=",
        "<<",
    ]
)
SCALARS = TEXTS | st.integers(min_value=-(2**63), max_value=2**63) | st.booleans() | st.none()
KEYS = TEXTS.filter(lambda text: not text.startswith("# "))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


@given(documents=st.lists(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4), min_size=1, max_size=3))
def test_what_is_read_is_what_was_written(documents: list[dict[str, Any]]) -> None:
    assert list(yaml.safe_load_all(yaml_of(*documents))) == documents


def test_comments_stand_before_what_they_are_about() -> None:
    value = {"kind": "Job", "# Once.": None, "spec": {"backoffLimit": 5, "parts": [{"# Why.": None, "name": "a b"}]}}
    text = yaml_of(value)
    assert text == ('kind: Job\n# Once.\nspec:\n  backoffLimit: 5\n  parts:\n    - # Why.\n      name: "a b"\n')
    assert yaml.safe_load(text) == without_comments(value)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"ports": [{"name": "http", "port": 80}]}, "ports:\n  - {name: http, port: 80}\n"),
        ({"labels": {"app.kubernetes.io/name": "sardonyx"}}, "labels: {app.kubernetes.io/name: sardonyx}\n"),
        ({"cpu": "2", "memory": "8Gi", "on": True}, 'cpu: "2"\nmemory: 8Gi\n"on": true\n'),
        ({"file": "one\n\n  two\n"}, "file: |\n  one\n\n    two\n"),
        ({"file": "one"}, "file: one\n"),
        ({"none": {}, "empty": []}, "none: {}\nempty: []\n"),
        ({"long": ["x" * 60, "y" * 60]}, "long:\n  - " + "x" * 60 + "\n  - " + "y" * 60 + "\n"),
    ],
    ids=["pairs", "one-pair", "words", "lines", "line", "empty", "too-long"],
)
def test_it_is_written_as_people_write_it(value: dict[str, Any], written: str) -> None:
    assert yaml_of(value) == written
