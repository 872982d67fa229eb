"""What importing costs: a notebook and a shell prompt must not wait for libraries that they do not use."""

import subprocess
import sys

import pytest

HEAVY = {"numpy", "onnx", "onnxruntime", "sqlalchemy", "fastapi", "starlette", "httpx", "sklearn", "torch"}


def loaded_after(statement: str) -> set[str]:
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def running(*arguments: str) -> str:
    """Return the statement that runs a command."""
    return f"import gateway.cli.entry as e\ntry:\n    e.main({list(arguments)})\nexcept SystemExit:\n    pass"


@pytest.mark.parametrize(
    "statement",
    [
        "import gateway.client",
        "import gateway.cli",
        running("--help"),
        running("promote", "--help"),
        running("top", "--once", "--url", "http://127.0.0.1:9"),
        running("import-triton", "/proc/self/fdinfo"),
    ],
    ids=[
        "the client",
        "the command line",
        "the help",
        "a command's help",
        "a look at a gateway",
        "an import of nothing",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(statement: str) -> None:
    assert loaded_after(statement) & HEAVY == set()
