"""``sardonyx import-triton``: a Triton model repository becomes models here."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.connection import connect
from gateway.cli.imports import (
    Outcome,
    Unreadable,
    bring_in,
    clashes,
    not_brought,
    not_promoted,
    nothing_found,
    promote_to,
    report,
)
from gateway.cli.options import DEFAULT_ALIAS, AsJson, Url
from gateway.cli.output import Output
from gateway.cli.triton_folder import TritonModel, read_repository
from gateway.client.client import Client

_REASON = "imported from a Triton model repository"


def import_triton(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The repository: a folder for each model.")],
    *,
    promote: Annotated[
        bool, typer.Option("--promote", help="Let production point at the newest version that Triton would serve.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Register the ONNX models of a Triton repository.

    Version by version; a second time finds the same versions and changes nothing.
    """
    output = Output(as_json)
    models = _read(folder)
    with connect(url) as client:
        outcomes: list[Outcome] = []
        promotions: list[dict[str, Any]] = []
        for model in models:
            found = dict(_bring_in(client, model, is_dry_run=dry_run))
            outcomes += found.values()
            if promote and not dry_run and model.served:
                promotions.append(_promote(client, model.name, found[max(model.served)]))
    report(output, outcomes, promotions=promotions, words=list(_words(models)))


def _read(folder: Path) -> list[TritonModel]:
    """Return the repository's models.

    Raises:
        CommandFailed: bad input: there is nothing, or nothing that can be told apart.
        OSError: the folder cannot be read.
    """
    try:
        models = read_repository(folder)
    except Unreadable as error:
        raise nothing_found("", str(error)) from None
    if not models:
        raise nothing_found(str(folder), "holds no folder of a model")
    twice = clashes((model.folder, model.name) for model in models if model.fault is None)
    if twice:
        here, there = next(iter(twice.items()))
        raise nothing_found(str(folder), f"has {' and '.join(sorted(there))}, which would both be called {here}")
    return models


def _bring_in(client: Client, model: TritonModel, *, is_dry_run: bool) -> Iterator[tuple[int, Outcome]]:
    if model.fault is not None:
        yield 0, not_brought(model.folder, model.name, model.fault)
    for number, candidate in sorted(model.candidates.items()):
        yield number, bring_in(client, candidate, is_dry_run=is_dry_run)


def _promote(client: Client, name: str, newest: Outcome) -> dict[str, Any]:
    """Promote the newest version that Triton would serve; an older one never answered there, and does not here."""
    if newest.version is None:
        return not_promoted(name, DEFAULT_ALIAS, "newest_refused")
    return promote_to(client, name, newest.version, DEFAULT_ALIAS, reason=_REASON)


def _words(models: Sequence[TritonModel]) -> Iterator[str]:
    for model in models:
        if model.fault is None and model.name != model.folder:
            yield f"{model.folder} is called {model.name} here"
        if model.ignored:
            yield f"{model.folder}: of its configuration nothing is made of {', '.join(model.ignored)[:500]}"
        if len(model.served) > 1:
            yield f"{model.folder}: Triton would serve {sorted(model.served)}; here every version answers by its number"
