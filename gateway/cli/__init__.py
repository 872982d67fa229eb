"""The command line: every command is the REST contract, over the network or in this process."""

from gateway.cli.entry import main

__all__ = ["main"]
