"""The table of a promotion: what is another one, and what it means."""

from typing import Any

import pytest
from onnx import TensorProto, helper

from gateway.cli.graph_ops import count_operators
from gateway.cli.output import spell_seconds
from gateway.cli.plans import Row, Surroundings, plan_rows, verdict
from tests.support import models

BEFORE = {"size_bytes": 1000, "memory_bytes": 2048, "opset": 17, "load_seconds": 0.0125, "run_seconds": 0.00002}
AFTER = {"size_bytes": 1100, "memory_bytes": 8192, "opset": 18, "load_seconds": 0.0125, "run_seconds": None}


def version(level: str | None, examples: int, **more: Any) -> dict[str, Any]:
    report = None if level is None else {"level": level}
    return {"batch_report": report, "examples": examples, "isolation": "in_process", **more}


def plan(**changes: Any) -> dict[str, Any]:
    document = {
        "model": "iris",
        "alias": "production",
        "from": 1,
        "to": 2,
        "compatibility": "narrowing",
        "differences": [{"path": "inputs/x/shape", "before": "[batch, 4]", "after": "[1, 4]"}],
        "changes": [{"path": "outputs/z", "before": "absent", "after": "z: float32[1]"}],
        "costs": {"from": BEFORE, "to": AFTER},
    }
    return {**document, **changes}


def around(**changes: Any) -> Surroundings:
    alias = {"canary": None, "shadow": {"version": 3, "percent": 5.0}}
    found = {"alias": alias, "live": version("exact", 1), "candidate": version("close", 2, isolation="isolated")}
    return Surroundings(**{**found, **changes})


def row(what: str, now: str, then: str, effect: str = "") -> Row:
    return Row(what=what, now=now, then=then, effect=effect)


def test_everything_that_an_admin_wants_to_see_has_a_row() -> None:
    assert plan_rows(plan(), around()) == [
        row("live", "1, shadow 5 % -> 3", "2", "the shadow ends"),
        row("inputs/x/shape", "[batch, 4]", "[1, 4]", "narrowing"),
        row("outputs/z", "absent", "z: float32[1]", "harmless"),
        row("opset", "17", "18"),
        row("size", "1000 B", "1.1 KiB", "+10 %"),
        row("memory", "2.0 KiB", "8.0 KiB", "x 4.0"),
        row("load", "12.5 ms", "12.5 ms"),
        row("run", "20 us", "-"),
        row("batching", "exact", "close", "fewer requests share runs"),
        row("runs", "in process", "isolated"),
        row("golden examples", "1", "2", "all pass"),
    ]


def test_an_output_that_is_lost_breaks_even_where_inputs_only_narrow() -> None:
    lost = {"path": "outputs/y", "before": "y: float32[1]", "after": "absent"}

    (_, found, *_) = plan_rows(plan(differences=[lost], changes=[]), around())

    assert found == row("outputs/y", "y: float32[1]", "absent", "breaking")


def test_where_nothing_is_live_there_is_nothing_to_compare_with() -> None:
    first = plan(
        **{"from": None, "compatibility": None, "differences": [], "changes": []}, costs={"from": None, "to": AFTER}
    )

    rows = plan_rows(first, around(alias=None, live=None))

    assert rows[0] == row("live", "nothing", "2")
    assert [found.now for found in rows[1:]] == ["-"] * 8


@pytest.mark.parametrize(
    ("changes", "allow_breaking", "words"),
    [
        (
            {},
            False,
            "Would be refused without --allow-breaking: iris@production: 1 -> 2; callers would break (narrowing)",
        ),
        ({}, True, "Would move iris@production: 1 -> 2; callers would break (narrowing)"),
        (
            {"differences": [], "compatibility": "widening"},
            False,
            "Would move iris@production: 1 -> 2; no caller would break (widening)",
        ),
        ({"from": 2}, False, "iris@production points at version 2 already; nothing would move"),
    ],
    ids=["refused", "allowed", "harmless", "nothing"],
)
def test_the_verdict_comes_first(changes: dict[str, Any], allow_breaking: bool, words: str) -> None:  # noqa: FBT001
    assert verdict(plan(**changes), allow_breaking=allow_breaking) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.00002, "20 us"), (0.0125, "12.5 ms"), (3.2, "3.20 s"), (0.9999, "999.9 ms")]
)
def test_short_times_are_spelt_for_people(seconds: float, words: str) -> None:
    assert spell_seconds(seconds) == words


def test_operators_are_counted_in_subgraphs_and_named_with_foreign_domains() -> None:
    branch = helper.make_graph([helper.make_node("Neg", ["x"], ["b"])], "b", [], [models.value("b", shape=("n",))])
    nodes = [
        helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch),
        helper.make_node("Gelu", ["x"], ["g"], domain="com.microsoft"),
        helper.make_node("Neg", ["x"], ["z"], domain="ai.onnx"),
    ]
    inputs = [models.value("x", shape=("n",)), helper.make_tensor_value_info("c", TensorProto.BOOL, [])]
    graph = helper.make_graph(nodes, "g", inputs, [models.value("y", shape=("n",))])

    counts = count_operators(helper.make_model(graph).SerializeToString())

    assert counts == {"If": 1, "Neg": 3, "com.microsoft.Gelu": 1}


@pytest.mark.parametrize("octets", [b"\xff" * 20, b"\x3a\xff\x01", b"<html>"], ids=["ones", "too long", "text"])
def test_what_is_no_graph_has_no_operators(octets: bytes) -> None:
    assert count_operators(octets) is None


def test_a_graph_as_deep_as_nothing_is_read_no_further() -> None:
    octets = b"\x0a\x00"
    for field in (b"\x32", b"\x2a", b"\x0a") * 30:  # attribute's graph, node's attribute, graph's node
        octets = field + _varint(len(octets)) + octets
    assert count_operators(b"\x3a" + _varint(len(octets)) + octets) is None


def _varint(value: int) -> bytes:
    octets = bytearray()
    while value > 127:
        octets.append(value & 127 | 128)
        value >>= 7
    return bytes([*octets, value])
