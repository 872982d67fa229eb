"""Versions that crash, hang or take too much: list those that run apart or not at all, and take one back."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from gateway.cli.completion import complete_reference, complete_version
from gateway.cli.connection import connect
from gateway.cli.models import spell_standing
from gateway.cli.options import AsJson, Url
from gateway.cli.output import Output
from gateway.client.references import parse_target

quarantine = typer.Typer(help="Versions that run apart, or not at all.", no_args_is_help=True)


@quarantine.command("list")
def list_(*, as_json: AsJson = False, url: Url = None) -> None:
    """List the versions that run apart, or not at all.

    Apart is in a child process of their own; not at all is in quarantine.
    """
    output = Output(as_json)
    with connect(url) as client:
        found = client.quarantine()
    output.data(found)
    rows = [
        (
            each["model"],
            each["version"],
            each["isolation"],
            each["deaths"],
            _spell_end(each),
            each["reason"],
        )
        for each in found
    ]
    output.table(("MODEL", "VERSION", "RUNS", "DEATHS", "UNTIL", "REASON"), rows)


@quarantine.command("clear")
def clear(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME[:N]", help="A model, or one of its versions.", autocompletion=complete_reference),
    ],
    version: Annotated[
        int | None,
        typer.Argument(
            metavar="VERSION",
            help="Its number, unless it stands behind the name.",
            min=1,
            autocompletion=complete_version,
        ),
    ] = None,
    *,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Forget the crashes of a version.

    It runs where it was asked to again: in the workers, or in a child if its publisher has asked for one. Clearing it
    once more changes nothing.
    """
    target = parse_target(name)
    numbers = [number for number in (target.version, version) if number is not None]
    if target.alias is not None or len(numbers) != 1:
        raise typer.BadParameter("name one version: NAME VERSION, or NAME:N")
    output = Output(as_json)
    with connect(url) as client:
        found = client.clear(target.model, numbers[0])
    output.data(found)
    output.say(f"Cleared {found['model']}:{found['version']}; it runs {spell_standing(found)}")


def _spell_end(found: Mapping[str, Any]) -> str:
    """Spell what would bring a version back into the workers."""
    if found["on_probation"]:
        return "it answers well"
    is_held = found["reason"] or found["isolation"] == "quarantined"
    return "cleared" if is_held else "its publisher's word"
