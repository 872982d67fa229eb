"""The arguments and options that many commands share.

``--json`` and ``--url`` may stand before the command or after it: whichever is seen first is remembered for the rest.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from gateway.cli.completion import complete_alias, complete_model, complete_reference, complete_version
from gateway.client.references import PRODUCTION


@dataclass(slots=True)
class Invocation:
    """What has been said so far on this command line."""

    as_json: bool = False
    url: str | None = None


def remember_json(context: typer.Context, value: bool) -> bool:  # noqa: FBT001 - the signature that typer calls
    """Keep a ``--json``, wherever it stands."""
    invocation = context.ensure_object(Invocation)
    invocation.as_json = invocation.as_json or value
    return invocation.as_json


def remember_url(context: typer.Context, value: Any) -> str | None:
    """Keep a ``--url``, wherever it stands."""
    invocation = context.ensure_object(Invocation)
    invocation.url = value or invocation.url
    return invocation.url


AsJson = Annotated[
    bool, typer.Option("--json", help="Data as JSON on stdout, words on stderr.", callback=remember_json)
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="Ask this gateway (or SARDONYX_URL, with SARDONYX_TOKEN) instead of the database of the settings.",
        callback=remember_url,
        show_default=False,
    ),
]
LiveUrl = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="Where the gateway runs: this, or SARDONYX_URL (with SARDONYX_TOKEN), or the address of the settings.",
        callback=remember_url,
        show_default=False,
    ),
]
"""Of what only a gateway that runs can say; no database knows it."""
Model = Annotated[str, typer.Argument(metavar="NAME", help="A model's name.", autocompletion=complete_model)]
ModelOrVersion = Annotated[
    str,
    typer.Argument(
        metavar="NAME[@ALIAS|:N]", help="A model, or one of its versions.", autocompletion=complete_reference
    ),
]
VersionNumber = Annotated[
    int, typer.Argument(metavar="VERSION", help="A version's number.", min=1, autocompletion=complete_version)
]
Alias = Annotated[str, typer.Option("--alias", help="Which alias.", autocompletion=complete_alias)]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the history.")]
AllowBreaking = Annotated[
    bool, typer.Option("--allow-breaking", help="Accept a signature that not every caller can live with.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Return when every live worker follows.")]
Timeout = Annotated[float, typer.Option("--timeout", metavar="SECONDS", help="How long --wait waits.", min=0)]

DEFAULT_ALIAS = PRODUCTION
DEFAULT_TIMEOUT_SECONDS = 30.0
