"""Where the command ``sardonyx`` begins and where every error ends."""

import json
import sys
from collections.abc import Sequence
from typing import NoReturn

import typer

from gateway.cli.app import app
from gateway.cli.exits import EXPECTED, document_of, exit_code_of, lines_of
from gateway.cli.options import Invocation
from gateway.cli.output import plain


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit with its code (see ``gateway.cli.exits``)."""
    invocation = Invocation()
    try:
        app(args=None if arguments is None else list(arguments), prog_name="sardonyx", obj=invocation)
    except EXPECTED as error:
        report(error, as_json=invocation.as_json)
        sys.exit(exit_code_of(error))
    sys.exit(0)


def report(error: Exception, *, as_json: bool) -> None:
    """Say on stderr what went wrong: the problem as JSON, or in words."""
    document = document_of(error)
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False, indent=2), err=True)
        return
    for line in lines_of(document):
        typer.echo(plain(line), err=True)
