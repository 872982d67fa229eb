"""``make notebook``: executes the notebook of ``docs`` against a gateway of its own, and stores what came out."""

import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from tests.notebook import execute, read_notebook, write_notebook
from tests.support.gateway_process import running_gateway

NOTEBOOK = Path(__file__).parents[2] / "docs" / "from-training-to-promotion.ipynb"
PORT = ":8000"
"""As the notebook has it."""


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="sardonyx-") as folder,
        running_gateway(Path(folder) / "data") as gateway,
    ):
        done = execute(read_notebook(NOTEBOOK), replace={PORT: f":{urlsplit(gateway.url).port}"})
    write_notebook(NOTEBOOK, done)


if __name__ == "__main__":
    main()
