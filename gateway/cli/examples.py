"""Golden examples: what a version has to answer, before it is promoted and wherever it is loaded."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.connection import connect
from gateway.cli.options import AsJson, Model, Url, VersionNumber
from gateway.cli.output import Output

examples = typer.Typer(no_args_is_help=True, help="Golden examples of a version: list, set, record.")

File = Annotated[str, typer.Option("--file", metavar="FILE|-", help="A JSON file, or - for stdin.")]


@examples.command("list")
def show(name: Model, version: VersionNumber, *, as_json: AsJson = False, url: Url = None) -> None:
    """List a version's golden examples."""
    with connect(url) as client:
        _report(Output(as_json), client.examples(name, version))


@examples.command("set")
def replace(name: Model, version: VersionNumber, *, file: File, as_json: AsJson = False, url: Url = None) -> None:
    """Replace a version's golden examples by a file's.

    The file is a list of {"inputs", "outputs"}, perhaps with "name" and "tolerance".

    They are checked first; a version that answers otherwise keeps those that it has. An empty list removes them.
    """
    golden = read_examples(file)
    with connect(url) as client:
        _report(Output(as_json), client.set_examples(name, version, golden))


@examples.command("record")
def record(name: Model, version: VersionNumber, *, file: File, as_json: AsJson = False, url: Url = None) -> None:
    """Add one golden example to those of a version.

    {"inputs"} alone is recorded with what the version answers now.
    """
    example = read_example(file)
    with connect(url) as client:
        _report(Output(as_json), client.record_example(name, version, example))


def read_examples(file: str) -> Sequence[Mapping[str, Any]]:
    """Read a list of examples, or an object that has one as ``examples`` or ``items``.

    Raises:
        typer.BadParameter: it is none.
        OSError: it cannot be read.
    """
    found = _read(file)
    if isinstance(found, dict):
        found = found.get("examples", found.get("items"))
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise typer.BadParameter(f"{file} has to hold a list of examples")
    return found


def read_example(file: str) -> Mapping[str, Any]:
    """Read one example, an object with ``inputs``.

    Raises:
        typer.BadParameter: it is none.
        OSError: it cannot be read.
    """
    found = _read(file)
    if not isinstance(found, dict) or "inputs" not in found:
        raise typer.BadParameter(f"{file} has to hold one example, an object with inputs")
    return found


def _read(file: str) -> Any:
    octets = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    try:
        return json.loads(octets)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{file} is not JSON: {error}") from None


def _report(output: Output, found: Sequence[Mapping[str, Any]]) -> None:
    output.data(found)
    rows = [
        (one["name"], ", ".join(one["inputs"]), ", ".join(one["outputs"]), _spell_tolerance(one["tolerance"]))
        for one in found
    ]
    output.table(("EXAMPLE", "INPUTS", "OUTPUTS", "TOLERANCE"), rows)


def _spell_tolerance(tolerance: Mapping[str, float] | None) -> str:
    if tolerance is None:
        return "of the dtype"
    return f"{tolerance['absolute']:g} + {tolerance['relative']:g} * |x|"
