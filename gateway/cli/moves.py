"""Which version answers: promote, roll back. Each says what moved, and how to take it back."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer

from gateway.cli.completion import complete_destination
from gateway.cli.connection import connect
from gateway.cli.exits import ExitCode
from gateway.cli.history import resolve_destination
from gateway.cli.options import (
    DEFAULT_ALIAS,
    DEFAULT_TIMEOUT_SECONDS,
    Alias,
    AllowBreaking,
    AsJson,
    Model,
    Reason,
    Timeout,
    Url,
    VersionNumber,
    Wait,
)
from gateway.cli.output import Output
from gateway.cli.plans import Surroundings, look_around, plan_rows, show_plan
from gateway.cli.waiting import wait_until_applied
from gateway.client.client import Client


def promote(  # noqa: PLR0913 - a parameter is an option
    name: Model,
    version: VersionNumber,
    *,
    alias: Alias = DEFAULT_ALIAS,
    expected: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Refuse unless this version is live now.")
    ] = None,
    reason: Reason = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    ask: Annotated[bool, typer.Option("--ask", help="Show what would happen and ask; needs a terminal.")] = False,
    allow_breaking: AllowBreaking = False,
    wait: Wait = False,
    timeout: Timeout = DEFAULT_TIMEOUT_SECONDS,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Point an alias at a version."""
    output = Output(as_json)
    shown: int | None = None  # what was agreed to holds for what was shown only, its canary and its shadow too
    if ask and not dry_run and not output.can_ask():
        raise typer.BadParameter("there is no terminal to ask at", param_hint="--ask")
    with connect(url) as client:
        if dry_run or ask:
            # A plan is asked for with everything allowed: what would break is then listed, not refused unseen.
            plan = client.promote(name, version, alias=alias, expected=expected, allow_breaking=True, is_dry_run=True)
            if dry_run:
                _report_plan(output, client, plan, allow_breaking=allow_breaking)
                return
            around = look_around(client, plan)
            if not _is_agreed(output, plan, around, allow_breaking=allow_breaking):
                output.say("Nothing has moved")
                raise typer.Exit(ExitCode.FAILED)
            expected, shown = expected or plan["from"], around.generation
        moved = client.promote(
            name,
            version,
            alias=alias,
            expected=expected,
            expected_generation=shown,
            reason=reason,
            allow_breaking=allow_breaking,
        )
        report_move(output, client, moved, url=url, timeout_seconds=timeout if wait else None)


def rollback(
    name: Model,
    *,
    alias: Alias = DEFAULT_ALIAS,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="N|mN",
            help="To this version, which was live before; or (m3) to where that move of the history led.",
            autocompletion=complete_destination,
        ),
    ] = None,
    to_time: Annotated[
        str | None, typer.Option(metavar="TIME", help="To what was live then, such as 2026-11-22T03:00:00Z.")
    ] = None,
    reason: Reason = "",
    wait: Wait = False,
    timeout: Timeout = DEFAULT_TIMEOUT_SECONDS,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Undo an alias's last promotion.

    Again goes one promotion further back; --to and --to-time go to any version that was live.
    """
    moment = None if to_time is None else parse_time(to_time).isoformat()
    if to is not None and moment is not None:
        raise typer.BadParameter("give either --to or --to-time")
    with connect(url) as client:
        version = None if to is None else resolve_destination(client, name, alias, to)
        moved = client.rollback(name, alias=alias, to=version, to_time=moment, reason=reason)
        report_move(Output(as_json), client, moved, url=url, timeout_seconds=timeout if wait else None)


def parse_time(text: str) -> datetime:
    """Parse a moment in ISO 8601; without a time zone it is this machine's.

    Raises:
        typer.BadParameter: it is no moment.
    """
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        message = f"{text!r} is not a time: write 2026-11-22T03:00:00Z"
        raise typer.BadParameter(message, param_hint="--to-time") from None


def move_lines(moved: Mapping[str, Any], url: str | None) -> Iterator[str]:
    """Yield what moved from where to where, and the command that takes it back."""
    where = f"{moved['model']}@{moved['alias']}"
    move = moved["move"]
    if move is None:
        yield f"{where} points at version {moved['version']} already; nothing has moved"
        return
    yield f"{where}: {_spell_end(move['from'])} -> {move['to']}"
    if move["kind"] == "rollback":
        yield f"Go back with  sardonyx promote {moved['model']} {move['from']}{move_options(moved, url)}"
    elif move["from"] is not None:
        yield f"Undo with  sardonyx rollback {moved['model']}{move_options(moved, url)}"


def _is_agreed(output: Output, plan: Mapping[str, Any], around: Surroundings, *, allow_breaking: bool) -> bool:
    """Show what would change and ask; what would be refused or changes nothing is not asked about."""
    show_plan(output, plan, plan_rows(plan, around), allow_breaking=allow_breaking)
    if plan["from"] == plan["to"] or (plan["differences"] and not allow_breaking):
        return True
    return typer.confirm("Promote it?")


def _report_plan(output: Output, client: Client, plan: Mapping[str, Any], *, allow_breaking: bool) -> None:
    rows = plan_rows(plan, look_around(client, plan))
    output.data({**plan, "rows": [asdict(row) for row in rows]})
    show_plan(output, plan, rows, allow_breaking=allow_breaking)
    if plan["differences"] and not allow_breaking:
        raise typer.Exit(ExitCode.CONFLICT)


def report_move(
    output: Output, client: Client, moved: Mapping[str, Any], *, url: str | None, timeout_seconds: float | None
) -> None:
    """Say what moved before waiting: it has moved, whether or not the workers follow in time."""
    output.say(*move_lines(moved, url))
    output.data(moved)
    if timeout_seconds is not None:
        count = wait_until_applied(client.workers, sequence=moved["sequence"], timeout_seconds=timeout_seconds)
        output.say(f"Every live worker follows ({count})" if count else "No worker is running; the next one follows")


def _spell_end(version: int | None) -> str:
    return "nothing" if version is None else str(version)


def move_options(moved: Mapping[str, Any], url: str | None) -> str:
    """Return the options that another command about the same alias needs."""
    alias = f" --alias {moved['alias']}" if moved["alias"] != DEFAULT_ALIAS else ""
    return alias + (f" --url {url}" if url else "")
