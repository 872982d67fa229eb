"""What requests bring to a version, beside its golden examples."""

from typing import Annotated

import typer

from gateway.cli.completion import complete_reference
from gateway.cli.connection import connect_live
from gateway.cli.options import AsJson, LiveUrl
from gateway.cli.output import Output, spell_time
from gateway.client.input_report import COLUMNS

Reference = Annotated[
    str,
    typer.Argument(
        metavar="NAME[@ALIAS|:N]", help="A version; NAME alone is what is live.", autocompletion=complete_reference
    ),
]


def inputs(reference: Reference, *, as_json: AsJson = False, url: LiveUrl = None) -> None:
    """Show what requests bring to a version, in numbers.

    Means, deviations, NaN, unseen texts, and how far that is from its golden examples.

    A running gateway adds that up, with SARDONYX_INPUT_STATISTICS=on; it keeps no request, and tells nothing of inputs
    that fewer than 20 requests have brought.
    """
    output = Output(as_json)
    with connect_live(url) as (client, _):
        found = client.inputs(reference)
    output.data(found)
    if as_json:
        return
    since = f" since {spell_time(str(found['since']))} UTC" if found["since"] else ""
    output.say(f"{found}{since}")
    rows = [[row[name] or "-" for name in COLUMNS] for row in found.shown]
    output.table([heading.upper() for heading in COLUMNS.values()], rows)
    if found["left_out"]:
        output.say(f"Not looked at: {', '.join(found['left_out'])}")
