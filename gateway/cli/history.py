"""The moves of a model's aliases, numbered as releases are.

1. Each alias counts its own moves: ``m1`` is the first one. Nothing is ever taken out of a history, so a number goes on
   meaning the same move.
2. A number says which move, a bare integer says which version: ``--to m3`` goes to where the third move led, ``--to 3``
   to version 3.
"""

import re
from typing import Annotated

import typer

from gateway.cli.completion import complete_alias
from gateway.cli.connection import connect
from gateway.cli.exits import CommandFailed, ExitCode
from gateway.cli.options import AsJson, Model, Url
from gateway.cli.output import Output, spell_time
from gateway.client.client import Client

_MOVE = re.compile(r"m([1-9][0-9]{0,8})")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


def history(
    name: Model,
    *,
    alias: Annotated[
        str | None, typer.Option("--alias", help="Only this alias.", autocompletion=complete_alias, show_default=False)
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", metavar="N", min=1, help="Only the newest N moves.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List a model's promotions and rollbacks, oldest first.

    What stands under MOVE is what rollback --to takes.
    """
    output = Output(as_json)
    with connect(url) as client:
        moves = [move for move in client.history(name) if alias in (None, move["alias"])]
    shown = moves if limit is None else moves[-limit:]
    output.data(shown)
    rows = [
        (
            f"m{move['number']}",
            spell_time(move["at"]),
            move["alias"],
            move["kind"],
            move["from"],
            move["to"],
            move["actor"],
            move["reason"],
        )
        for move in shown
    ]
    output.table(("MOVE", "AT (UTC)", "ALIAS", "KIND", "FROM", "TO", "BY", "REASON"), rows)


def resolve_destination(client: Client, name: str, alias: str, text: str) -> int:
    """Return the version that ``--to`` means: its number, or where a move of the history led.

    Raises:
        typer.BadParameter: it is neither.
        CommandFailed: not found: the alias has no such move.
    """
    if _VERSION.fullmatch(text):
        return int(text)
    wanted = _MOVE.fullmatch(text)
    if wanted is None:
        raise typer.BadParameter(
            f"{text!r} is neither a version, such as 3, nor a move of the history, such as m3", param_hint="--to"
        )
    moves = [move for move in client.history(name) if move["alias"] == alias]
    for move in moves:
        if move["number"] == int(wanted[1]):
            return int(move["to"])
    raise CommandFailed(
        ExitCode.NOT_FOUND,
        code="move_not_found",
        title="There is no such move",
        detail=f"the history of {name}@{alias} ends with {f'm{len(moves)}' if moves else 'nothing'}",
    )
