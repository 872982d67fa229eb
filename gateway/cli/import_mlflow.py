"""``sardonyx import-mlflow``: an MLflow model in a folder, or the registered models of an MLflow server, come in here.

1. Only models of the ONNX flavour come; the others are named.
2. Versions come in the order of their numbers, and what MLflow calls them is kept in tags.
3. Aliases move only with ``--promote``: each of MLflow's aliases then points here where it points there. The stages
   that MLflow had before count as aliases where no alias has that name here. Where two aliases would have one name
   here, neither moves.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.cli.connection import connect
from gateway.cli.imports import (
    Candidate,
    Outcome,
    State,
    Unreadable,
    alias_name,
    bring_in,
    clashes,
    files_of,
    inside,
    model_name,
    not_brought,
    not_promoted,
    nothing_found,
    promote_to,
    report,
    tidy_description,
    tidy_tags,
)
from gateway.cli.mlflow_server import MlflowServer
from gateway.cli.mlmodel import FILE, MAX_BYTES, facts, graph_name, read_mlmodel
from gateway.cli.options import AsJson, Url
from gateway.cli.output import Output
from gateway.client.client import Client
from gateway.client.external_data import external_file_names

_REASON: Final = "imported from MLflow"
_MAX_FILE_BYTES: Final = 8 * 1024**3
_MAX_TOKEN_BYTES: Final = 64 * 1024
_STAGES: Final = ("production", "staging")
_READY: Final = frozenset({"READY", ""})

Document = Mapping[str, Any]


@dataclass(slots=True)
class _Brought:
    """What has come of everything so far."""

    outcomes: list[Outcome] = field(default_factory=list)
    promotions: list[dict[str, Any]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Import:
    """One run of the command over a server."""

    server: MlflowServer
    client: Client
    is_dry_run: bool
    brought: _Brought = field(default_factory=_Brought)

    def model(self, found: Document, *, promote: bool) -> None:
        """Bring in the versions of one registered model, and then its aliases."""
        theirs = found["name"]
        try:
            ours = model_name(theirs)
            versions = sorted(self.server.versions(theirs), key=lambda version: _number(version["version"]))
            registered = self.server.model(theirs) if promote else {}
        except Unreadable as error:
            self.brought.outcomes.append(not_brought(theirs, theirs, error))
            return
        if ours != theirs:
            self.brought.words.append(f"{theirs} is called {ours} here")
        numbers: dict[str, int] = {}
        for version in versions:
            outcome = self._version(version, ours)
            self.brought.outcomes.append(outcome)
            if outcome.version is not None:
                numbers[str(version["version"])] = outcome.version
        if promote and not self.is_dry_run:
            self._promote(ours, _wishes(registered, versions), numbers)

    def _version(self, version: Document, name: str) -> Outcome:
        source = f"{version['name']}/{version['version']}"
        if str(version.get("status") or "") not in _READY:
            return Outcome(
                source=source, name=name, version=None, state=State.LEFT_OUT, detail=f"it is {version['status']}"
            )
        with tempfile.TemporaryDirectory(prefix="sardonyx-mlflow-") as folder:
            try:
                candidate = self._fetch(version, name, Path(folder))
            except Unreadable as error:
                return not_brought(source, name, error)
            return bring_in(self.client, candidate, is_dry_run=self.is_dry_run)

    def _fetch(self, version: Document, name: str, folder: Path) -> Candidate:
        """Fetch a version's files into a folder of ours, under names that are no paths."""
        of = (version["name"], str(version["version"]))
        mlmodel = read_mlmodel(self.server.read_text(*of, FILE, limit_bytes=MAX_BYTES))
        graph = folder / graph_name(mlmodel)
        self.server.download(*of, graph.name, target=graph, limit_bytes=_MAX_FILE_BYTES)
        for beside in external_file_names(graph):
            self.server.download(*of, beside, target=folder / beside, limit_bytes=_MAX_FILE_BYTES)
        return Candidate(
            source="/".join(of),
            name=name,
            files=files_of(graph, folder),
            description=tidy_description(str(version.get("description") or "")),
            tags=tidy_tags(
                {
                    **_tags(version.get("tags")),
                    **facts(mlmodel),
                    "mlflow.model": version["name"],
                    "mlflow.version": str(version["version"]),
                }
            ),
        )

    def _promote(self, name: str, wishes: "_Wishes", numbers: Mapping[str, int]) -> None:
        self.brought.words += [f"{name}: {word}" for word in wishes.words]
        self.brought.promotions += [not_promoted(name, alias, "ambiguous_alias") for alias in wishes.ambiguous]
        for alias, number in sorted(wishes.aliases.items()):
            if number in numbers:
                self.brought.promotions.append(promote_to(self.client, name, numbers[number], alias, reason=_REASON))


def import_mlflow(
    source: Annotated[
        str, typer.Argument(metavar="FOLDER|URL", help=f"A folder with {FILE}, or an MLflow server's address.")
    ],
    *,
    name: Annotated[
        str | None, typer.Option("--name", help="Of a folder: what the model is called here; by default as the folder.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", metavar="NAME", help="Of a server: only this one; may be repeated.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="Of a server: holds the token that it wants.")
    ] = None,
    promote: Annotated[
        bool, typer.Option("--promote", help="Let aliases point where MLflow's do; of a folder: production.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Register ONNX models of MLflow, from a folder or a server.

    Version by version; a second time finds the same versions and changes nothing.
    """
    output = Output(as_json)
    if source.startswith(("http://", "https://")):
        if name is not None:
            raise typer.BadParameter("a server's models have names already", param_hint="--name")
        server = MlflowServer(source, None if token_file is None else _read_token(token_file))
        found = _registered(server, model or [])
        with connect(url) as client:
            run = _Import(server=server, client=client, is_dry_run=dry_run)
            for registered in found:
                run.model(registered, promote=promote)
        brought = run.brought
    else:
        if model or token_file is not None:
            raise typer.BadParameter("--model and --token-file are for a server, and this is a folder")
        candidate = read_folder(Path(source), name)
        with connect(url) as client:
            brought = _bring_folder(client, candidate, promote=promote, is_dry_run=dry_run)
    report(output, brought.outcomes, promotions=brought.promotions, words=brought.words)


def read_folder(folder: Path, name: str | None) -> Candidate:
    """Return the version that a folder of MLflow's holds.

    Raises:
        CommandFailed: bad input: it holds none of the ONNX flavour, or leads out of itself.
        OSError: it cannot be read.
    """
    try:
        with inside(folder / FILE, folder).open("rb") as file:
            mlmodel = read_mlmodel(file.read(MAX_BYTES + 1).decode("utf-8", "replace"))
        return Candidate(
            source=str(folder),
            name=model_name(name or folder.resolve().name),
            files=files_of(folder / graph_name(mlmodel), folder),
            description="an MLflow model",
            tags=tidy_tags(facts(mlmodel)),
        )
    except Unreadable as error:
        raise nothing_found(str(folder), f"cannot be brought in: {error}") from None


def _bring_folder(client: Client, candidate: Candidate, *, promote: bool, is_dry_run: bool) -> _Brought:
    outcome = bring_in(client, candidate, is_dry_run=is_dry_run)
    brought = _Brought(outcomes=[outcome])
    if promote and not is_dry_run and outcome.version is not None:
        brought.promotions.append(promote_to(client, candidate.name, outcome.version, "production", reason=_REASON))
    return brought


def _read_token(file: Path) -> str:
    with file.open("rb") as opened:  # what is no text is refused with the words of a token
        return opened.read(_MAX_TOKEN_BYTES).decode("utf-8", "replace")


def _registered(server: MlflowServer, wanted: Sequence[str]) -> list[Document]:
    """Return the models to bring in.

    Raises:
        CommandFailed: bad input: there are none, or two would have one name here.
        ConnectionFailed: no server answers.
    """
    try:
        found = [model for model in server.models() if not wanted or model["name"] in wanted]
    except Unreadable as error:
        raise nothing_found(server.url, f"cannot be asked: {error}") from None
    missing = set(wanted) - {model["name"] for model in found}
    if missing or not found:
        raise nothing_found(server.url, f"has no model {', '.join(sorted(missing))}" if missing else "has no models")
    twice = clashes((model["name"], _name_or_itself(model["name"])) for model in found)
    if twice:
        here, there = next(iter(twice.items()))
        raise nothing_found(server.url, f"has {' and '.join(sorted(there))}, which would both be called {here}")
    return found


def _name_or_itself(text: str) -> str:
    try:
        return model_name(text)
    except Unreadable:
        return text


@dataclass(slots=True)
class _Wishes:
    """Where a model's aliases are to point."""

    aliases: dict[str, str] = field(default_factory=dict)
    """MLflow's number of a version, by the name of the alias here."""
    ambiguous: list[str] = field(default_factory=list)
    """Names here that several aliases would have."""
    words: list[str] = field(default_factory=list)


def _wishes(model: Document, versions: Sequence[Document]) -> _Wishes:
    """Return where MLflow's aliases point, under their names here, and its stages where no alias has their name."""
    wishes = _Wishes()
    found: dict[str, dict[str, str]] = {}
    for alias in model.get("aliases") or []:
        if not (isinstance(alias, dict) and isinstance(alias.get("alias"), str)):
            continue
        try:
            found.setdefault(alias_name(alias["alias"]), {})[alias["alias"]] = str(alias.get("version"))
        except Unreadable as error:
            wishes.words.append(str(error))
    for ours, theirs in found.items():
        names = " and ".join(sorted(theirs))
        if len(theirs) > 1:
            wishes.words.append(f"the aliases {names} would both be called {ours} here: it was not moved")
            wishes.ambiguous.append(ours)
            continue
        if names != ours:
            wishes.words.append(f"the alias {names} is called {ours} here")
        wishes.aliases[ours] = theirs[names]
    stages = {str(version.get("current_stage") or "").lower(): str(version["version"]) for version in versions}
    wishes.aliases |= {stage: number for stage, number in stages.items() if stage in _STAGES and stage not in found}
    return wishes


def _tags(found: Any) -> dict[str, str]:
    pairs = found if isinstance(found, list) else []
    return {str(tag["key"]): str(tag.get("value", "")) for tag in pairs if isinstance(tag, dict) and "key" in tag}


def _number(text: Any) -> int:
    words = str(text)
    if not (words.isascii() and words.isdecimal() and len(words) <= 18):  # noqa: PLR2004 - fits everybody's integers
        raise Unreadable(f"a version is called {words[:40]!r}, which is no number")
    return int(words)
