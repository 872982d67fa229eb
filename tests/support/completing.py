"""The tab key, pressed behind a line that somebody types."""

import subprocess
import sys
from pathlib import Path

from tests.support.gateway_process import GatewayProcess

_PROGRAM = """
import gateway.cli.completion
from gateway.cli.entry import main

gateway.cli.completion._PATIENCE_SECONDS = 60.0
main()
"""
"""The command as it is installed, but for its patience: a machine that stands still for two seconds offers nothing."""


def offered(gateway: GatewayProcess, line: str, folder: Path) -> list[str]:
    """Return what bash is offered for the last word of a line, however long that takes."""
    place = str(len(line.split(" ")) - 1)
    shell = {"_SARDONYX_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": place}
    run = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env={**gateway.environment, "SARDONYX_URL": gateway.url, **shell},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return run.stdout.split()
