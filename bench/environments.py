"""A virtual environment for each peer, made on demand from its pinned requirements, below ``.bench``."""

from pathlib import Path

from bench.servers import CACHE, ROOT
from tests.support.environments import NotInstalledError, make_environment

__all__ = ["PEERS", "NotInstalledError", "find_environment", "find_python", "read_pins"]

PEERS = ROOT / "bench" / "peers"


def find_python(peer: str) -> Path:
    """Return the peer's Python; see ``find_environment``."""
    return find_environment(peer, PEERS / peer / "requirements.txt")


def find_environment(name: str, requirements: Path) -> Path:
    """Return a Python with exactly what the requirements say; takes a minute where it is not there yet."""
    return make_environment(CACHE / "environments" / name, requirements)


def read_pins(peer: str) -> dict[str, str]:
    """Return the versions that the requirements name."""
    lines = (PEERS / peer / "requirements.txt").read_text().splitlines()
    return dict(line.split("==", 1) for line in lines if line and not line.startswith("#"))
