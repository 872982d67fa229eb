"""A virtual environment for each peer, made on demand from its pinned requirements, below ``.bench``."""

import shutil
import subprocess
import sys
from pathlib import Path

from bench.servers import CACHE, ROOT

PEERS = ROOT / "bench" / "peers"
STAMP = "installed.txt"


class NotInstalledError(Exception):
    """A peer's environment could not be made; the message holds the installer's last words."""


def find_python(peer: str) -> Path:
    """Return the peer's Python; see ``find_environment``."""
    return find_environment(peer, PEERS / peer / "requirements.txt")


def find_environment(name: str, requirements: Path) -> Path:
    """Return a Python with exactly what the requirements say; takes a minute where it is not there yet."""
    folder = CACHE / "environments" / name
    python = folder / "bin" / "python"
    stamp = folder / STAMP
    if stamp.exists() and stamp.read_bytes() == requirements.read_bytes():
        return python
    print(f"installing {name} ...", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
    for command in ([sys.executable, "-m", "venv", str(folder)], [*install, "-r", str(requirements)]):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise NotInstalledError(f"not installed: {' '.join(done.stderr.split())[-300:]}")
    shutil.copy(requirements, stamp)
    return python


def read_pins(peer: str) -> dict[str, str]:
    """Return the versions that the requirements name."""
    lines = (PEERS / peer / "requirements.txt").read_text().splitlines()
    return dict(line.split("==", 1) for line in lines if line and not line.startswith("#"))
