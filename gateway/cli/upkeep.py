"""Looking after what is on this machine: the database's schema, and the store's bytes. Never over the network."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.connection import local_settings
from gateway.cli.exits import ExitCode
from gateway.cli.options import AsJson
from gateway.cli.output import Output

if TYPE_CHECKING:
    from gateway.parts import Parts

database = typer.Typer(help="The database's schema.", no_args_is_help=True)


@database.command("upgrade")
def upgrade(*, as_json: AsJson = False) -> None:
    """Bring the database to the schema of this program.

    It is the database of the settings; where it has that schema, nothing is done.
    """
    with local_parts() as parts:
        before, _ = parts.upgrade_schema()
        current, head = parts.schema_revisions()
    output = Output(as_json)
    output.data({"before": before, "current": current, "head": head})
    changed = f"{before or 'empty'} -> {current}"
    output.say(f"The schema is at {current} already" if before == current else f"Upgraded the schema: {changed}")


@database.command("check")
def check_schema(*, as_json: AsJson = False) -> None:
    """Compare the database's schema with this program's.

    It is the database of the settings; exits with 1 where they differ.
    """
    with local_parts() as parts:
        current, head = parts.schema_revisions()
        output = Output(as_json)
        output.data({"current": current, "head": head, "matches": current == head})
        if current is not None:
            parts.registry.check_schema()
    if current is None:
        output.say(f"There is no schema yet, this program needs {head}: sardonyx db upgrade")
        raise typer.Exit(ExitCode.FAILED)
    output.say(f"The schema is at {current}, as it should be")


def fsck(
    *,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Discard bytes without a version and unfinished files, once they are older than a day."
        ),
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Compare sizes only; do not read every byte.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the registry with the store.

    Those of the settings, on this machine; exits with 1 where something does not fit.
    """
    from registry import consistency

    with local_parts() as parts:
        parts.registry.check_schema()
        discarded = consistency.repair(parts.registry, parts.store, clock=parts.clock) if repair else []
        findings = consistency.check(parts.registry, parts.store, verify=not quick)
    output = Output(as_json)
    output.data(
        {"findings": [asdict(finding) for finding in findings], "discarded": [asdict(found) for found in discarded]}
    )
    output.say(*(f"discarded {finding.kind}: {finding.what}" for finding in discarded))
    output.say(*(f"{finding.kind}: {finding.what}" for finding in findings))
    if not findings:
        output.say("Every version has its bytes, and there is nothing else" + (" (digests not checked)" * quick))
        return
    raise typer.Exit(ExitCode.FAILED)


@contextmanager
def local_parts() -> Iterator["Parts"]:
    """Give the parts that the settings describe, and close them."""
    settings = local_settings()
    from gateway.parts import open_parts

    parts = open_parts(settings)
    try:
        yield parts
    finally:
        parts.close()
