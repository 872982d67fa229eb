"""``sardonyx watch``: the change feed, a line an event, as it happens.

1. An event is printed once, in the order of the feed; whoever was away goes on behind the last one with ``--after``.
2. A gateway that goes away is waited for. That is said on standard error, once when it goes and once when it is back.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Any, Final

import typer

from gateway.cli.completion import complete_model
from gateway.cli.connection import connect
from gateway.cli.exits import is_passing
from gateway.cli.options import AsJson, Url
from gateway.cli.output import plain, spell_time
from gateway.client.client import Client
from gateway.client.errors import ClientError

_PAUSE_SECONDS: Final = 0.5
_PAGE: Final = 1000

Event = Mapping[str, Any]


def watch(
    *,
    after: Annotated[
        int | None,
        typer.Option("--after", metavar="SEQUENCE", min=0, help="Begin behind this event; by default with the next."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME", help="Only events of this model.", autocompletion=complete_model),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="End after so many events.")] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Print events as they happen, until Ctrl-C.

    With --json each is an object on a line of its own.
    """
    with suppress(KeyboardInterrupt), connect(url) as client:
        found = (event for event in follow(client, after=after) if model in (None, event["model"]))
        for count, event in enumerate(found, start=1):
            typer.echo(json.dumps(event, ensure_ascii=False) if as_json else plain(event_line(event)))
            if count == limit:
                return


def follow(client: Client, *, after: int | None, pause: Callable[[float], None] = time.sleep) -> Iterator[Event]:
    """Yield events for ever, those behind ``after``, or those that are still to come.

    Args:
        client: for the gateway, which may go away and come back.
        after: a sequence number; None for the end of the feed.
        pause: waits that many seconds.

    Raises:
        ApiError: the gateway refuses for good.
        ConnectionFailed: nobody answers the first question.
    """
    last = last_sequence(client) if after is None else after
    has_answered = after is None
    is_away = False
    while True:
        try:
            events, reached = client.events_page(after=last, limit=_PAGE)
        except ClientError as error:
            if not has_answered or not is_passing(error):
                raise
            if not is_away:
                typer.echo(plain(f"waiting for the gateway: {error}"), err=True)
            is_away = True
            pause(_PAUSE_SECONDS)
            continue
        if is_away:
            typer.echo(f"the gateway answers again; going on behind event {last}", err=True)
            is_away = False
        has_answered = True
        yield from events
        if reached == last:
            pause(_PAUSE_SECONDS)
        last = reached


def last_sequence(client: Client) -> int:
    """Return the sequence number of the newest event.

    What the live workers have applied is near the end; only where there is none has the feed to be read from its
    beginning.
    """
    last = max((int(worker["applied"]) for worker in client.workers()), default=0)
    while True:
        _, reached = client.events_page(after=last, limit=_PAGE)
        if reached == last:
            return last
        last = reached


def event_line(event: Event) -> str:
    """Return an event as a line: when, which, about what, by whom, and what it says besides."""
    about = event["model"] or ""
    if event["alias"] is not None:
        about += f"@{event['alias']}"
    if event["version"] is not None:
        about += f":{event['version']}"
    detail = " ".join(f"{name}={_spell(value)}" for name, value in event["detail"].items() if value not in (None, ""))
    words = (str(event["sequence"]), spell_time(event["at"]), event["kind"], about, f"by {event['actor']}", detail)
    return "  ".join(word for word in words if word)


def _spell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return json.dumps(text, ensure_ascii=False) if " " in text and isinstance(value, str) else text
