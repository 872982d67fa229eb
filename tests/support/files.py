"""Files of a program that goes on writing and removing some."""

import os
from pathlib import Path


def paths_below(folder: Path) -> set[Path]:
    """Return what there is below a folder; folders that go away meanwhile are empty."""
    return {Path(parent, name) for parent, folders, files in os.walk(folder) for name in (*folders, *files)}
