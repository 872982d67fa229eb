"""How large the image of ``deploy/Dockerfile`` is, compressed, measured from its parts where no container can be built.

    python deploy/measure_image.py [--keep FOLDER]

Measured: the layer of Sardonyx and everything that it needs, installed as the Dockerfile installs it, and the layer of
the locale, each made into a tar and compressed with gzip as builders compress layers. Taken from elsewhere: the layers
of the base image as they were published, and the package ``tini`` (``PUBLISHED``). The sum is as good as those figures.
"""

import argparse
import gzip
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]

LIMIT_BYTES = 200 * 1000 * 1000

PUBLISHED = {
    # github.com/docker-library/repo-info, repos/python/remote/3.11-slim.md, of August 2026, linux/amd64: 45520747 bytes
    # of compressed layers. Later ones differ by some hundred kilobytes.
    "base image python:3.11-slim": 45_520_747,
    # packages.debian.org, trixie, amd64: the package has 255 kB, most of it documentation.
    "tini and the user": 300_000,
}
LOCALE_BYTES = 700_000
"""Of the locale's layer, where this machine cannot make one: what one that could has found, rounded up."""

LEFT_OUT = ("onnx/backend/test",)
"""What the Dockerfile removes of what was installed: the test data of ONNX, which nothing imports."""

_SOURCES = ("gateway", "registry", "model_store", "migrations", "pyproject.toml", "README.md", "LICENSE")
_MB = 1000 * 1000


def install(folder: Path) -> None:
    """Install into a new virtual environment what the image has, and remove what it leaves out."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--only-binary", ":all:", "-r", ROOT / "requirements.lock"], check=True)
    with tempfile.TemporaryDirectory() as scratch:  # a build writes beside its sources
        for name in _SOURCES:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, Path(scratch) / name)
        subprocess.run([*pip, "--no-build-isolation", scratch], check=True)
    for packages in folder.glob("lib/python3*/site-packages"):
        for name in LEFT_OUT:
            shutil.rmtree(packages / name)


def make_locale(folder: Path) -> bool:
    """Make the locale of the image; False where this machine has not what it takes."""
    localedef = shutil.which("localedef")
    command = [localedef, "--no-archive", "-i", "en_US", "-f", "UTF-8", folder]
    return localedef is not None and subprocess.run(command, check=False, capture_output=True).returncode == 0


def layer_bytes(folder: Path) -> int:
    """Return how large a folder is as a layer: a tar of it, compressed with gzip."""
    with tempfile.TemporaryFile() as file:
        with (
            gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6, mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w|") as archive,
        ):
            archive.add(folder, arcname=".")
        return file.tell()


def main() -> int:
    """Print the parts and their sum; return 1 if that passes the limit."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument(
        "--keep", type=Path, help="a folder that is not there yet, to install into and to leave behind"
    )
    asked = arguments.parse_args()
    parts = [(name, size_bytes, "as published") for name, size_bytes in PUBLISHED.items()]
    with tempfile.TemporaryDirectory() as scratch:
        folder, locale = asked.keep or Path(scratch) / "sardonyx", Path(scratch) / "en_US.utf8"
        install(folder)
        parts.append(("Sardonyx and what it needs", layer_bytes(folder), "measured"))
        has_locale = make_locale(locale)
        size_bytes = layer_bytes(locale) if has_locale else LOCALE_BYTES
        parts.append(("locale en_US.UTF-8", size_bytes, "measured" if has_locale else "estimated"))
    total = sum(size_bytes for _, size_bytes, _ in parts)
    for name, size_bytes, how in [*parts, ("in all", total, f"may be {LIMIT_BYTES / _MB:.0f} MB")]:
        sys.stdout.write(f"{size_bytes / _MB:7.1f} MB  {name} ({how})\n")
    return int(total > LIMIT_BYTES)


if __name__ == "__main__":
    sys.exit(main())
