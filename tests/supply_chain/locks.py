"""The two locks as {package: version}, and pyproject."""

import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
RUNNING = ROOT / "requirements.lock"
TESTING = ROOT / "tests" / "requirements.lock"


def read_lock(path: Path, *, is_for_here: bool = False) -> dict[str, str]:
    """Return the pinned version of each package, by the name that indexes use (``sqlalchemy``, ``ml-dtypes``).

    Those that only another Python needs are in it, too, unless it is for here.
    """
    lines = (line for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#"))
    pins = (pin for pin in map(Requirement, lines) if not is_for_here or pin.marker is None or pin.marker.evaluate())
    return {str(canonicalize_name(pin.name)): str(pin.specifier).removeprefix("==") for pin in pins}


def read_project() -> dict[str, Any]:
    """Return pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def declared() -> dict[str, Requirement]:
    """Return what pyproject says the gateway needs, by the same names."""
    wanted = map(Requirement, read_project()["project"]["dependencies"])
    return {str(canonicalize_name(requirement.name)): requirement for requirement in wanted}
