"""Stripping weights off files that should never have been registered: each is stripped or refused, in bounds."""

from pathlib import Path

import pytest

from registry.errors import InvalidArtifact
from registry.inspection.sandbox import SandboxedInspector
from registry.storage import MOST_STRIPPED_BYTES, STRIPPED_GRAPH
from tests.support import models
from tests.support.hostile_files import FOREIGN, REFUSED
from tests.support.inspecting import lay_out

UNREADABLE = {
    *("noise", "a file cut off", "types nested deep"),
    *(f"another format: {name}" for name in FOREIGN),
}
"""What no parser takes; all else is a message, and loses its weights."""

ENDLESS = "two million empty messages"
"""Four times what can be registered: it ends with its processor time, for which no test waits."""


def hostile_bytes() -> dict[str, bytes]:
    others = {f"another format: {name}": case for name, case in FOREIGN.items()}
    return {name: case.octets() for name, case in {**REFUSED, **others}.items() if name != ENDLESS}


def test_every_hostile_file_is_stripped_or_refused_and_the_next_is_an_honest_one(tmp_path: Path) -> None:
    inspector = SandboxedInspector()
    refused = {}
    for place, (name, octets) in enumerate(hostile_bytes().items()):
        folder, into = tmp_path / f"{place}", tmp_path / f"{place}-into"
        folder.mkdir()
        into.mkdir()
        artifact = lay_out(folder, {"model.onnx": octets})
        try:
            inspector.strip(folder, artifact, into)
        except InvalidArtifact as error:
            refused[name] = error.code
            assert list(into.iterdir()) == []
        else:
            assert [path.name for path in into.iterdir()] == [STRIPPED_GRAPH]
            assert (into / STRIPPED_GRAPH).stat().st_size <= MOST_STRIPPED_BYTES
    assert refused == dict.fromkeys(sorted(UNREADABLE, key=list(hostile_bytes()).index), "invalid_model")


def test_names_without_end_are_refused_not_served(tmp_path: Path) -> None:
    model = models.linear()
    model.graph.node[0].name = "n" * (MOST_STRIPPED_BYTES + 1)
    artifact = lay_out(tmp_path, {"model.onnx": model.SerializeToString()})
    with pytest.raises(InvalidArtifact) as refused:
        SandboxedInspector().strip(tmp_path, artifact, tmp_path)
    assert refused.value.code == "too_complex"
