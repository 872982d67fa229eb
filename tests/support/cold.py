"""Models that have to be cold."""

from contextlib import suppress
from pathlib import Path


def forget_copies(data_dir: Path) -> None:
    """Take away what a gateway has copied or prepared meanwhile, as it does by itself where loads are slow."""
    for path in (data_dir / "cache").rglob("*"):
        if path.is_file():
            with suppress(FileNotFoundError):
                path.unlink()
