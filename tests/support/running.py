"""Commands run to their end."""

import subprocess


def run(*command: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run a command with this environment and return what it said and its exit code."""
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
