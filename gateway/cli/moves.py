"""Which version answers: promote, roll back. Each says what moved, and how to take it back."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import typer

from gateway.cli.connection import connect
from gateway.cli.exits import ExitCode, difference_lines
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
from gateway.cli.output import Output, spell_bytes
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
    allow_breaking: AllowBreaking = False,
    wait: Wait = False,
    timeout: Timeout = DEFAULT_TIMEOUT_SECONDS,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Point an alias at a version."""
    output = Output(as_json)
    with connect(url) as client:
        moved = client.promote(
            name,
            version,
            alias=alias,
            expected=expected,
            reason=reason,
            # A plan is asked for with everything allowed: what would break is then listed, not refused unseen.
            allow_breaking=allow_breaking or dry_run,
            is_dry_run=dry_run,
        )
        if dry_run:
            _report_plan(output, moved, allow_breaking=allow_breaking)
            return
        report_move(output, client, moved, url=url, timeout_seconds=timeout if wait else None)


def rollback(
    name: Model,
    *,
    alias: Alias = DEFAULT_ALIAS,
    to: Annotated[int | None, typer.Option(metavar="N", min=1, help="To this version, which was live before.")] = None,
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
        moved = client.rollback(name, alias=alias, to=to, to_time=moment, reason=reason)
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


def _report_plan(output: Output, plan: Mapping[str, Any], *, allow_breaking: bool) -> None:
    output.data(plan)
    where = f"{plan['model']}@{plan['alias']}: {_spell_end(plan['from'])} -> {plan['to']}"
    more = (*change_lines(plan["changes"]), *cost_lines(plan["costs"]))
    if not plan["differences"]:
        kind = f" ({plan['compatibility']})" if plan["compatibility"] else ""
        output.say(f"Would move {where}; no caller would break{kind}", *more)
        return
    verdict = "Would move" if allow_breaking else "Would be refused without --allow-breaking:"
    output.say(
        f"{verdict} {where}",
        f"Callers would break ({plan['compatibility']}):",
        *difference_lines(plan["differences"]),
        *more,
    )
    if not allow_breaking:
        raise typer.Exit(ExitCode.CONFLICT)


def change_lines(changes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what else is other than it was."""
    if changes:
        yield "Nobody has to mind:"
        yield from difference_lines(changes)


def cost_lines(costs: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the version before takes and what the next one does, where they differ or there is none before."""
    before, after = costs["from"], costs["to"]
    for name, (words, spell) in _COSTS.items():
        now = after[name]
        was = None if before is None else before[name]
        if now != was and now is not None:
            yield f"  {words} {'' if was is None else f'{spell(was)} -> '}{spell(now)}"


def _spell_seconds(seconds: float) -> str:
    milliseconds = seconds * 1000
    return f"{milliseconds * 1000:.0f} us" if milliseconds < 1 else f"{milliseconds:.1f} ms"


_COSTS: Final[Mapping[str, tuple[str, Callable[[Any], str]]]] = {
    "size_bytes": ("size", spell_bytes),
    "memory_bytes": ("memory", spell_bytes),
    "opset": ("opset", str),
    "load_seconds": ("load", _spell_seconds),
    "run_seconds": ("run", _spell_seconds),
}


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
