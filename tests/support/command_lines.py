"""Commands as the command line reads them, without running them."""

from typing import Any

import typer.main

from gateway.cli.app import app
from gateway.cli.options import Invocation


def parse(words: list[str]) -> None:
    """Read a whole command as the command line itself would; raise what it would say of one that is none."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("sardonyx", list(words), obj=Invocation())
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, rest, parent=context)
