"""What importing costs: a notebook and a shell prompt must not wait for libraries that they do not use."""

import subprocess
import sys

import pytest

HEAVY = {"numpy", "onnx", "onnxruntime", "sqlalchemy", "fastapi", "starlette", "httpx", "sklearn", "torch"}


def loaded_after(statement: str) -> set[str]:
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import gateway.client",
        "import gateway.cli",
        "import gateway.cli.entry as e\ntry:\n    e.main(['--help'])\nexcept SystemExit:\n    pass",
        "import gateway.cli.entry as e\ntry:\n    e.main(['promote', '--help'])\nexcept SystemExit:\n    pass",
    ],
    ids=["the client", "the command line", "the help", "a command's help"],
)
def test_nothing_heavy_is_imported_before_it_is_needed(statement: str) -> None:
    assert loaded_after(statement) & HEAVY == set()
