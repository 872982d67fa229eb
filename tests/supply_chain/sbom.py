"""What the gateway runs with, as CycloneDX 1.6 JSON: ``make sbom`` writes it to ``dist/``.

1. Which packages, and in which versions: ``requirements.lock``. What is installed has to be those, else nothing is
   written.
2. Licences and who needs whom come from the installed packages' own metadata; a dependency counts where its marker
   holds on this machine, and where its extra was asked for.
3. The same lock gives the same bytes: sorted, no time, and a serial number that is drawn from the contents.
4. Packages are named by purl. Where somebody got them from is nobody's business, and not in here. Hashes of their files
   neither: what is installed no longer has them, and each machine installs other files.
"""

import importlib.metadata
import json
import sys
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.supply_chain.locks import ROOT, RUNNING, declared, read_lock, read_project

_SERIAL_NUMBERS = uuid.UUID("c4f1b1c6-27b5-5a6e-9a0e-6a8d0f3c1b52")

_SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache-2.0": "Apache-2.0",
    "BSD-3-Clause": "BSD-3-Clause",
    "ISC License": "ISC",
    "MIT": "MIT",
    "MIT License": "MIT",
}
"""What packages write into ``License``, or have as a classifier, in SPDX's words."""

_READ_BY_US = {"jinja2": "BSD-3-Clause", "pysimdjson": "MIT", "python-dateutil": "Apache-2.0 OR BSD-3-Clause"}
"""Licences that stand in no field: read in the package's own licence file."""


class NotInstalledError(Exception):
    """What is installed is not what the lock says."""


def make_sbom() -> dict[str, Any]:
    """Return the document.

    Raises:
        NotInstalledError: see rule 1.
    """
    pins = read_lock(RUNNING, is_for_here=True)
    project = read_project()["project"]
    itself = _component(project["name"], project["version"], project["license"], kind="application")
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": itself | {"description": project["description"]}},
        "components": [_component(name, pins[name], _license_of(name)) for name in sorted(pins)],
        "dependencies": [_needs(itself["bom-ref"], declared().values(), pins)]
        + [_needs(_purl(name, pins[name]), _requirements(name), pins) for name in sorted(pins)],
    }
    contents = json.dumps(document, sort_keys=True)
    return document | {"serialNumber": f"urn:uuid:{uuid.uuid5(_SERIAL_NUMBERS, contents)}"}


def _component(name: str, version: str, license_expression: str, *, kind: str = "library") -> dict[str, Any]:
    purl = _purl(name, version)
    licenses = [{"expression": license_expression}]
    return {"type": kind, "bom-ref": purl, "name": name, "version": version, "licenses": licenses, "purl": purl}


def _purl(name: str, version: str) -> str:
    return f"pkg:pypi/{name}@{version.replace('+', '%2B')}"


def _installed(name: str) -> importlib.metadata.Distribution:
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError as error:
        raise NotInstalledError(f"{name} is not installed: make setup") from error
    pinned = read_lock(RUNNING)[name]
    if found.version != pinned:
        raise NotInstalledError(f"{name} {found.version} is installed, {pinned} is pinned: make setup")
    return found


def _license_of(name: str) -> str:
    about = _installed(name).metadata
    expression = about.get("License-Expression") or _READ_BY_US.get(name)
    if expression:
        return expression
    classifiers = [line.split(" :: ")[-1] for line in about.get_all("Classifier") or () if line.startswith("License")]
    words = [about.get("License"), *classifiers]
    return next(_SPDX[word] for word in words if word in _SPDX)


def _requirements(name: str) -> Iterator[Requirement]:
    extras = {"", *_extras_asked_for(name)}
    for text in _installed(name).requires or ():
        wanted = Requirement(text)
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in extras):
            yield wanted


def _extras_asked_for(name: str) -> set[str]:
    wanted = declared().get(name)
    return wanted.extras if wanted else set()


def _needs(reference: str, wanted: Iterable[Requirement], pins: dict[str, str]) -> dict[str, Any]:
    names = {str(canonicalize_name(requirement.name)) for requirement in wanted}
    return {"ref": reference, "dependsOn": sorted(_purl(name, pins[name]) for name in names & pins.keys())}


def write_sbom(folder: Path) -> Path:
    """Write the document into the folder, which is made if need be, and return its path."""
    document = make_sbom()
    itself = document["metadata"]["component"]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{itself['name']}-{itself['version']}.cdx.json"
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    try:
        print(write_sbom(ROOT / "dist").relative_to(ROOT))
    except NotInstalledError as missing:
        sys.exit(str(missing))
