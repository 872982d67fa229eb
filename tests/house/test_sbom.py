"""The list of what the gateway runs with: valid, complete, and the same each time."""

import re
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.supply_chain.locks import RUNNING, declared, read_lock
from tests.supply_chain.sbom import NotInstalledError, make_sbom, write_sbom


@pytest.fixture(scope="module")
def sbom() -> dict[str, Any]:
    return make_sbom()


def needed_by(sbom: dict[str, Any], reference: str) -> set[str]:
    """Everything below a component in the graph."""
    direct = {entry["ref"]: entry["dependsOn"] for entry in sbom["dependencies"]}
    found: set[str] = set()
    waiting = [reference]
    while waiting:
        for other in set(direct[waiting.pop()]) - found:
            found.add(other)
            waiting.append(other)
    return found


def test_it_is_what_cyclonedx_1_6_says(tmp_path: Path) -> None:
    document = write_sbom(tmp_path).read_text("utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(document) is None


def test_it_lists_every_pin_and_nothing_else(sbom: dict[str, Any]) -> None:
    listed = {component["name"]: component["version"] for component in sbom["components"]}
    assert listed == read_lock(RUNNING, is_for_here=True)


def test_one_package_in_full(sbom: dict[str, Any]) -> None:
    [entry] = [component for component in sbom["components"] if component["name"] == "starlette"]
    version = read_lock(RUNNING)["starlette"]
    assert entry == {
        "type": "library",
        "bom-ref": f"pkg:pypi/starlette@{version}",
        "name": "starlette",
        "version": version,
        "licenses": [{"expression": "BSD-3-Clause"}],
        "purl": f"pkg:pypi/starlette@{version}",
    }


def test_every_package_is_there_because_another_needs_it(sbom: dict[str, Any]) -> None:
    itself = sbom["metadata"]["component"]["purl"]
    kept = {"setuptools"}  # installs the gateway itself
    unexplained = {component["purl"] for component in sbom["components"]} - needed_by(sbom, itself)
    assert {purl.split("/")[1].split("@")[0] for purl in unexplained} == kept


def test_the_gateway_needs_what_it_asks_for(sbom: dict[str, Any]) -> None:
    itself = sbom["metadata"]["component"]["purl"]
    [needs] = [entry["dependsOn"] for entry in sbom["dependencies"] if entry["ref"] == itself]
    assert {purl.split("/")[1].split("@")[0] for purl in needs} == set(declared())


def test_it_is_the_same_each_time_and_tells_neither_when_nor_where_from(tmp_path: Path) -> None:
    first, second = (write_sbom(tmp_path / name).read_text("utf-8") for name in ("first", "second"))
    assert second == first
    assert re.findall(r"https?://[^\"]+|timestamp", first) == ["http://cyclonedx.org/schema/bom-1.6.schema.json"]


def test_licences_are_ones_that_let_everybody_run_it(sbom: dict[str, Any]) -> None:
    known = {"MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "ISC", "PSF-2.0", "Zlib", "CC0-1.0"}
    known |= {"MPL-2.0", "LGPL-3.0-only"}  # orjson and psycopg, used as they are
    words = {word for component in sbom["components"] for word in component["licenses"][0]["expression"].split()}
    assert {word.strip("()") for word in words} - {"AND", "OR"} - known == set()


def test_what_is_not_installed_as_pinned_is_not_described(monkeypatch: pytest.MonkeyPatch) -> None:
    pins = read_lock(RUNNING) | {"starlette": "0.40.0"}
    monkeypatch.setattr("tests.supply_chain.sbom.read_lock", lambda _, **__: pins)
    with pytest.raises(NotInstalledError, match=r"starlette 1\.\S+ is installed, 0\.40\.0 is pinned: make setup"):
        make_sbom()
