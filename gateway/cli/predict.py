"""``sardonyx predict``: one request from a file."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.connection import connect
from gateway.cli.options import ModelOrVersion, Url
from gateway.cli.output import plain


def predict(
    reference: ModelOrVersion,
    *,
    body: Annotated[
        Path,
        typer.Option("--json", metavar="FILE|-", help='The body, such as {"inputs": {...}}; - is the standard input.'),
    ],
    url: Url = None,
) -> None:
    """Predict from a JSON file and print the answer."""
    content = sys.stdin.buffer.read() if str(body) == "-" else body.read_bytes()
    with connect(url) as client:
        answer = client.predict_json(reference, content)
    typer.echo(plain(answer.decode()))
