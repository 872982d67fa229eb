"""Webhooks: make, list, change and delete them, read their logs, have something delivered."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from gateway.cli.connection import connect
from gateway.cli.options import AsJson, Url
from gateway.cli.output import Output, spell_time

webhooks = typer.Typer(help="Webhooks: events told to other services.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="As 'webhook list' shows it.")]
Kinds = Annotated[
    list[str] | None,
    typer.Option("--event", metavar="KIND", help="Tell only events of this kind; may be given several times."),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--models",
        metavar="PATTERN",
        help="Tell only events of models whose names match, such as 'fraud-*'; may be given several times.",
    ),
]


@webhooks.command("create")
def create(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The receiver's URL.")],
    *,
    kinds: Kinds = None,
    models: Models = None,
    is_inactive: Annotated[bool, typer.Option("--inactive", help="Tell nothing until it is changed.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Make a webhook and print its secret, this once.

    It is never shown again. The secret is all that stdout gets; the words go to stderr.
    """
    with connect(url) as client:
        made = client.create_webhook(target, kinds=kinds or (), models=models or (), is_active=not is_inactive)
    _show_secret(made, as_json=as_json, words=f"Made the webhook {made['id']}: {_spell_wants(made)}")


@webhooks.command("list")
def list_(*, as_json: AsJson = False, url: Url = None) -> None:
    """List the webhooks, oldest first."""
    output = Output(as_json)
    with connect(url) as client:
        found = client.webhooks()
    output.data(found)
    rows = [
        (each["id"], _spell_state(each), each["url"], _spell_wants(each), spell_time(each["created_at"]))
        for each in found
    ]
    output.table(("ID", "STATE", "URL", "TOLD OF", "CREATED (UTC)"), rows)


@webhooks.command("show")
def show(webhook: Id, *, as_json: AsJson = False, url: Url = None) -> None:
    """Show one webhook, and what was told to it last."""
    output = Output(as_json)
    with connect(url) as client:
        found = client.webhook(webhook)
        last = client.webhook_deliveries(webhook, limit=_SHOWN)
    output.data({**found, "deliveries": last})
    output.say(
        *(() if as_json else (f"{found['id']}  {_spell_state(found)}", f"  url      {found['url']}")),
        *(() if as_json else (f"  told of  {_spell_wants(found)}", f"  made     {_spell_made(found)}", "")),
    )
    output.table(_COLUMNS, _rows(last))


@webhooks.command("change")
def change(
    webhook: Id,
    *,
    target: Annotated[str | None, typer.Option("--target", metavar="URL", help="The receiver's URL.")] = None,
    kinds: Kinds = None,
    models: Models = None,
    is_active: Annotated[bool | None, typer.Option("--active/--inactive", help="Whether events are told.")] = None,
    needs_secret: Annotated[bool, typer.Option("--new-secret", help="Draw another secret and print it.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Change a webhook; what is not given stays.

    An empty KIND or PATTERN ('') stands for all.
    """
    wishes = {
        "url": target,
        "kinds": None if kinds is None else [kind for kind in kinds if kind],
        "models": None if models is None else [pattern for pattern in models if pattern],
        "active": is_active,
        "new_secret": needs_secret or None,
    }
    with connect(url) as client:
        found = client.change_webhook(webhook, **{name: wish for name, wish in wishes.items() if wish is not None})
    if needs_secret:
        _show_secret(found, as_json=as_json, words=f"The webhook {found['id']} has a new secret")
        return
    output = Output(as_json)
    output.data(found)
    output.say(f"The webhook {found['id']} is {_spell_state(found)}: {_spell_wants(found)}")


@webhooks.command("delete")
def delete(webhook: Id, *, as_json: AsJson = False, url: Url = None) -> None:
    """Delete a webhook and its log."""
    output = Output(as_json)
    with connect(url) as client:
        client.delete_webhook(webhook)
    output.data({"id": webhook, "deleted": True})
    output.say(f"The webhook {webhook} is deleted")


@webhooks.command("deliveries")
def deliveries(
    webhook: Id,
    *,
    limit: Annotated[int, typer.Option("--limit", help="How many at most.", min=1)] = 30,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show what was told to a webhook, newest first."""
    output = Output(as_json)
    with connect(url) as client:
        found = client.webhook_deliveries(webhook, limit=limit)
    output.data(found)
    output.table(_COLUMNS, _rows(found))


@webhooks.command("redeliver")
def redeliver(
    webhook: Id,
    delivery: Annotated[int, typer.Argument(metavar="DELIVERY", help="As 'webhook deliveries' shows it.", min=1)],
    *,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Have something delivered once more.

    A gateway that runs does it within seconds.
    """
    output = Output(as_json)
    with connect(url) as client:
        found = client.redeliver(webhook, delivery)
    _say_queued(output, found)


@webhooks.command("test")
def ping(webhook: Id, *, as_json: AsJson = False, url: Url = None) -> None:
    """Have a ping delivered, once.

    A gateway that runs does it within seconds.
    """
    output = Output(as_json)
    with connect(url) as client:
        found = client.test_webhook(webhook)
    _say_queued(output, found)


_SHOWN = 10
_COLUMNS = ("DELIVERY", "EVENT", "KIND", "STATE", "TRIES", "LAST (UTC)", "STATUS", "REASON")


def _rows(found: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (
            each["id"],
            each["sequence"],
            each["kind"],
            each["state"],
            each["attempts"],
            "never" if each["attempted_at"] is None else spell_time(each["attempted_at"]),
            each["status"],
            each["reason"],
        )
        for each in found
    ]


def _say_queued(output: Output, delivery: Mapping[str, Any]) -> None:
    output.data(delivery)
    where = f"sardonyx webhook deliveries {delivery['webhook']}"
    output.say(f"Delivery {delivery['id']} is on its way; '{where}' shows what becomes of it")


def _show_secret(webhook: Mapping[str, Any], *, as_json: bool, words: str) -> None:
    Output(as_json).data(webhook)
    if not as_json:
        typer.echo(webhook["secret"])
    beside = Output(as_json=True)
    beside.say(words, "The secret is shown this once: the receiver checks signatures with it.")


def _spell_state(webhook: Mapping[str, Any]) -> str:
    return "inactive" if not webhook["active"] else "failing" if webhook["failing"] else "active"


def _spell_wants(webhook: Mapping[str, Any]) -> str:
    kinds = ", ".join(webhook["kinds"]) or "all events"
    return kinds + (f" of {', '.join(webhook['models'])}" if webhook["models"] else "")


def _spell_made(webhook: Mapping[str, Any]) -> str:
    return f"{spell_time(webhook['created_at'])} by {webhook['created_by']}"
