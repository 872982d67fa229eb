"""Models that have to be cold, and a copy of one that is.

A gateway prepares, some time later, what was registered in it or loaded plainly, where loads are slow, and fetches it
for that: no test knows what lies in its cache. A registry neither loads nor prepares anything, and a gateway that has
just begun has not yet.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.gateway_process import GatewayProcess, running_gateway


@contextmanager
def running_registry(data_dir: Path, **variables: str) -> Iterator[GatewayProcess]:
    """Run a registry on ``data_dir``: what is registered there is cold in the gateway that runs there afterwards."""
    with running_gateway(data_dir, role="registry", **variables) as registry:
        yield registry


def the_copy(data_dir: Path) -> Path:
    """Return the one graph copied from the store, when what was prepared of it, as where loads are slow, is away."""
    for folder in (data_dir / "cache").glob("[0-9a-f]*.*"):
        shutil.rmtree(folder, ignore_errors=True)
    (copy,) = (data_dir / "cache").rglob("*.onnx")
    return copy
