"""The image stays below its limit: what is pinned, as it is installed here, and what that is compressed.

``deploy/measure_image.py`` measures the whole, which takes an installation and minutes. This estimates it out of sizes.
"""

import runpy
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

from tests.supply_chain.locks import RUNNING, read_lock

MEASURED = runpy.run_path(str(Path(__file__).parents[2] / "deploy" / "measure_image.py"))
"""The names of that script."""

COMPRESSED_SHARE = 0.376
"""The layer of 125.9 MB that was measured, bytecode and Sardonyx included, by the 335.4 MB of what was pinned then."""


def installed_bytes(names: Iterable[str]) -> int:
    """Return how much these distributions have installed that is in the image, without bytecode."""
    files = (file for name in names for file in distribution(name).files or ())
    kept = (file for file in files if not any(part in str(file) for part in (*MEASURED["LEFT_OUT"], ".pyc")))
    return sum(file.locate().stat().st_size for file in kept if Path(str(file.locate())).is_file())


def image_bytes(names: Iterable[str]) -> float:
    """Return how large the image is with these packages, compressed, as far as that can be told."""
    others = sum(MEASURED["PUBLISHED"].values()) + MEASURED["LOCALE_BYTES"]
    return float(others + installed_bytes(names) * COMPRESSED_SHARE)


def test_the_image_stays_below_its_limit() -> None:
    assert image_bytes(read_lock(RUNNING, is_for_here=True)) < MEASURED["LIMIT_BYTES"]


def test_a_heavy_dependency_would_be_noticed() -> None:
    names = [*read_lock(RUNNING, is_for_here=True), "scipy"]

    assert image_bytes(names) > MEASURED["LIMIT_BYTES"]
