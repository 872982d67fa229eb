"""Access tokens: make one, list them, take one back."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from gateway.cli.connection import connect
from gateway.cli.options import AsJson, Url
from gateway.cli.output import Output, spell_time

tokens = typer.Typer(help="Access tokens.", no_args_is_help=True)


class Role(StrEnum):
    """What a token may be for."""

    PREDICT = "predict"
    PUBLISH = "publish"
    ADMIN = "admin"


@tokens.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is, or what it is for; history says so.")],
    *,
    role: Annotated[
        Role,
        typer.Option(
            "--role", help="predict calls models and reads; publish registers besides; admin does everything."
        ),
    ],
    models: Annotated[
        str | None,
        typer.Option("--models", metavar="PATTERN", help="Good for models whose names match only, such as 'fraud-*'."),
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="90d|DATE", help="When it ends; by default never.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Make an access token and print it, this once.

    It is never shown again. The token is all that stdout gets; the words go to stderr.
    """
    with connect(url) as client:
        made = client.create_token(name, role=role.value, models=models, expires=expires)
    output = Output(as_json)
    output.data(made)
    if not as_json:
        typer.echo(made["token"])
    words = Output(as_json=True)
    words.say(f"Made the token {made['id']} for {made['name']}: {_spell_rights(made)}, {_spell_end(made)}")
    words.say("It is shown this once. Keep it where secrets are kept; programs find it in SARDONYX_TOKEN.")


@tokens.command("list")
def list_(*, as_json: AsJson = False, url: Url = None) -> None:
    """List the access tokens, oldest first.

    Those that are no longer good are among them.
    """
    output = Output(as_json)
    with connect(url) as client:
        found = client.tokens()
    output.data(found)
    rows = [
        (
            token["id"],
            token["name"],
            token["role"],
            token["models"] or "*",
            spell_time(token["created_at"]),
            token["created_by"],
            _spell_end(token),
            "never" if token["last_used_at"] is None else spell_time(token["last_used_at"]),
        )
        for token in found
    ]
    output.table(("ID", "NAME", "ROLE", "MODELS", "CREATED (UTC)", "BY", "END", "LAST USED"), rows)


@tokens.command("revoke")
def revoke(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As 'token list' shows it; a whole token does as well.")],
    *,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Revoke an access token.

    Within seconds no gateway takes it any more. Revoking it again changes nothing.
    """
    output = Output(as_json)
    with connect(url) as client:
        token = client.revoke_token(_public_part(id_))
    output.data(token)
    output.say(f"The token {token['id']} of {token['name']} is revoked")


def _public_part(text: str) -> str:
    """Return the id of a token that was given whole: its secret need not travel to be revoked."""
    return text.split("_")[1] if text.count("_") == 2 else text  # noqa: PLR2004 - the parts of a token


def _spell_rights(token: Mapping[str, Any]) -> str:
    return f"{token['role']}" + ("" if token["models"] is None else f" on {token['models']}")


def _spell_end(token: Mapping[str, Any]) -> str:
    if token["revoked_at"] is not None:
        return f"revoked {spell_time(token['revoked_at'])} by {token['revoked_by']}"
    return "no end" if token["expires_at"] is None else f"until {spell_time(token['expires_at'])}"
