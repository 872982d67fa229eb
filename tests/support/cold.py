"""Models that have to be cold."""

import shutil
from contextlib import suppress
from pathlib import Path


def forget_copies(data_dir: Path) -> None:
    """Take away what a gateway has copied or prepared meanwhile, as it does by itself where loads are slow."""
    for path in (data_dir / "cache").rglob("*"):
        if path.is_file():
            with suppress(FileNotFoundError):
                path.unlink()


def the_copy(data_dir: Path) -> Path:
    """Return the one graph copied from the store, when what was prepared of it, as where loads are slow, is away."""
    for folder in (data_dir / "cache").glob("[0-9a-f]*.*"):
        shutil.rmtree(folder, ignore_errors=True)
    (copy,) = (data_dir / "cache").rglob("*.onnx")
    return copy
