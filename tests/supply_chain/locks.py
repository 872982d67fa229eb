"""The two locks as {package: version}, and pyproject."""

import re
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
RUNNING = ROOT / "requirements.lock"
TESTING = ROOT / "tests" / "requirements.lock"

_PIN = re.compile(r"([A-Za-z0-9._-]+)==([^;\s]+)")


def read_lock(path: Path) -> dict[str, str]:
    """Return the pinned version of each package, by the name that indexes use (``sqlalchemy``, ``ml-dtypes``)."""
    pins = map(_PIN.match, path.read_text("utf-8").splitlines())
    return {str(canonicalize_name(pin[1])): pin[2] for pin in pins if pin}


def read_project() -> dict[str, Any]:
    """Return pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def declared() -> dict[str, Requirement]:
    """Return what pyproject says the gateway needs, by the same names."""
    wanted = map(Requirement, read_project()["project"]["dependencies"])
    return {str(canonicalize_name(requirement.name)): requirement for requirement in wanted}
