"""Versions that come from another server's models: what is brought in, and what came of it.

1. Each version is registered as ``register`` would: the same bytes under the same name are the same version, so that
   whoever imports twice imports once.
2. One version that the gateway refuses, or whose files cannot be read, keeps no other from coming.
3. Nothing is read outside the folder that was named: a link that leads out of it is refused, and so is a name with a
   path in it.
4. A name that the gateway does not take is mapped to one that it does, and that is said.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import typer

from gateway.cli.exits import CommandFailed, ExitCode
from gateway.cli.output import Output
from gateway.client.client import Client
from gateway.client.convert import Submission, prepare
from gateway.client.errors import ApiError, UnusableArgument
from gateway.client.external_data import external_file_names

MAX_MODELS: Final = 10_000
_LONGEST_NAME, _LONGEST_ALIAS = 128, 63
_LONGEST_TAG, _LONGEST_KEY, _MOST_TAGS = 1024, 128, 60
_LONGEST_DESCRIPTION: Final = 4096


class Unreadable(ValueError):  # noqa: N818 - the name says what happened
    """A model of another server cannot be brought in; the message says why."""


class OtherKind(Unreadable):
    """It is a model of another kind, and was never meant to come."""


class State(StrEnum):
    """What has become of a version."""

    REGISTERED = "registered"
    THERE = "there already"
    WOULD_REGISTER = "would be registered"
    REFUSED = "refused"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One version to bring in."""

    source: str
    """What it is called where it comes from: ``resnet/3``."""
    name: str
    """What the model is called here."""
    files: Sequence[Path]
    """The graph, and what it keeps its weights in."""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one version, or of a model of which nothing can be brought in."""

    source: str
    name: str
    version: int | None
    state: State
    detail: str = ""

    @property
    def is_fault(self) -> bool:
        """True for what should have come in and did not."""
        return self.state is State.REFUSED


def bring_in(client: Client, candidate: Candidate, *, is_dry_run: bool) -> Outcome:
    """Register one version, or say what registering it would do.

    Raises:
        ConnectionFailed: no gateway answers.
        ApiError: it refuses whoever asks, or cannot answer now.
    """
    try:
        submission = prepare(list(candidate.files))
    except (UnusableArgument, OSError) as error:
        return _outcome(candidate, State.REFUSED, detail=spell_fault(error))
    try:
        if is_dry_run:
            number = _find_same(client, candidate.name, submission)
            return _outcome(candidate, State.WOULD_REGISTER if number is None else State.THERE, number)
        version = client.submit(submission, name=candidate.name, description=candidate.description, tags=candidate.tags)
    except ApiError as error:
        if error.status not in _OF_THE_MODEL:
            raise
        return _outcome(candidate, State.REFUSED, detail=f"{error.code}: {error.detail or error.title}")
    finally:
        submission.close()
    return _outcome(candidate, State.REGISTERED if version.is_new else State.THERE, version.version)


_OF_THE_MODEL: Final = frozenset({400, 409, 413, 415, 422})
"""What a gateway says of one model; anything else would be said of the next one, too."""


def not_brought(source: str, name: str, why: Exception) -> Outcome:
    """Return the outcome of what is no ONNX model (left out), or of one that cannot be read (refused)."""
    state = State.LEFT_OUT if isinstance(why, OtherKind) else State.REFUSED
    return Outcome(source=source, name=name, version=None, state=state, detail=spell_fault(why))


def spell_fault(error: Exception) -> str:
    """Return in words why something cannot be read."""
    if isinstance(error, OSError):
        return f"{Path(error.filename).name if error.filename else 'a file'}: {error.strerror or error}"
    return str(error)


def promote_to(client: Client, name: str, version: int, alias: str, *, reason: str) -> dict[str, Any]:
    """Point an alias at a version; return what moved, or why nothing did."""
    try:
        moved = client.promote(name, version, alias=alias, reason=reason)
    except ApiError as error:
        if error.status not in _OF_THE_MODEL and error.code != "rehearsal_failed":
            raise
        return {"model": name, "alias": alias, "version": version, "moved": False, "refused": error.code}
    return {"model": name, "alias": alias, "version": version, "moved": moved["move"] is not None, "refused": None}


def not_promoted(name: str, alias: str, why: str) -> dict[str, Any]:
    """Return the outcome of an alias that was not even tried to be moved, by a code that says why."""
    return {"model": name, "alias": alias, "version": None, "moved": False, "refused": why}


def promotion_line(promotion: Mapping[str, Any]) -> str:
    """Return what came of pointing an alias somewhere, as words."""
    where = f"{promotion['model']}@{promotion['alias']}"
    if promotion["refused"]:
        to = "" if promotion["version"] is None else f" to {promotion['version']}"
        return f"{where} was not moved{to}: {promotion['refused']}"
    return f"{where} -> {promotion['version']}" + ("" if promotion["moved"] else ", as before")


def report(
    output: Output, outcomes: Sequence[Outcome], *, promotions: Sequence[Mapping[str, Any]], words: Sequence[str]
) -> None:
    """Print what came of everything, and end the command with 1 where something was refused."""
    output.data({"versions": [asdict(outcome) for outcome in outcomes], "promotions": promotions, "notes": words})
    output.table(
        ("FROM", "MODEL", "VERSION", "STATE", "DETAIL"),
        [(one.source, one.name, one.version, str(one.state), one.detail) for one in outcomes],
    )
    output.say(*words, *map(promotion_line, promotions))
    if any(one.is_fault for one in outcomes) or any(promotion["refused"] for promotion in promotions):
        raise typer.Exit(ExitCode.FAILED)


def nothing_found(where: str, what: str) -> CommandFailed:
    """Return the error of a place that holds nothing to bring in."""
    return CommandFailed(
        ExitCode.BAD_INPUT, code="nothing_to_import", title="There is nothing to import", detail=f"{where} {what}"
    )


# --- names and texts --------------------------------------------------------------------------------------------------


def model_name(text: str) -> str:
    """Return a model's name of ours that is as close to another server's as can be.

    Raises:
        Unreadable: nothing of it can stay.
    """
    name = re.sub(r"\.{2,}", ".", re.sub(r"[^a-z0-9._-]+", "-", text.lower())).strip("._-")[:_LONGEST_NAME]
    if not name:
        raise Unreadable(f"{text!r} has no letter and no digit that a name here may have")
    return name.rstrip("._-")


def alias_name(text: str) -> str:
    """Return an alias's name of ours that is as close as can be; raises as ``model_name``."""
    name = re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")[:_LONGEST_ALIAS]
    name = name.lstrip("0123456789-")
    if not name:
        raise Unreadable(f"{text!r} has no letter that an alias here may begin with")
    return name


def tidy_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that a gateway takes: on one line, not too long, not too many."""
    tidied = {tidy(key, _LONGEST_KEY): tidy(value, _LONGEST_TAG) for key, value in tags.items()}
    return dict([(key, value) for key, value in tidied.items() if key][:_MOST_TAGS])


def tidy_description(text: str) -> str:
    """Return text that a gateway takes as a description."""
    return tidy(text, _LONGEST_DESCRIPTION)


def tidy(text: str, limit: int) -> str:
    """Return text on one line, without what cannot be printed, cut where it is too long."""
    printable = "".join(sign if sign.isprintable() else " " for sign in text)
    return printable.strip()[:limit]


# --- files of a folder ------------------------------------------------------------------------------------------------


def files_of(graph: Path, root: Path) -> list[Path]:
    """Return a graph's file and those that it keeps weights in, all of them inside ``root``.

    Raises:
        Unreadable: one of them leads out of it.
        OSError: one cannot be read.
    """
    inside(graph, root)
    beside = [graph.with_name(name) for name in external_file_names(graph)]
    return [graph, *(inside(path, root) for path in beside if path.exists())]


def inside(path: Path, root: Path) -> Path:
    """Return the path if it leads, through all links, to something inside ``root``.

    Raises:
        Unreadable: it leads elsewhere.
        OSError: it leads nowhere.
    """
    if not path.resolve(strict=True).is_relative_to(root.resolve(strict=True)):
        raise Unreadable(f"{path.relative_to(root)} leads out of {root}")
    return path


def is_plain_name(text: str) -> bool:
    """Tell whether a text is the name of a file, without any path."""
    return text not in ("", ".", "..") and "/" not in text and "\\" not in text and "\0" not in text


def clashes(names: Iterator[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the names here that several names there would have, each with those; ``names`` are (there, here)."""
    found: dict[str, list[str]] = {}
    for there, here in names:
        found.setdefault(here, []).append(there)
    return {here: there for here, there in found.items() if len(there) > 1}


def _outcome(candidate: Candidate, state: State, version: int | None = None, detail: str = "") -> Outcome:
    return Outcome(source=candidate.source, name=candidate.name, version=version, state=state, detail=detail)


def _find_same(client: Client, name: str, submission: Submission) -> int | None:
    """Return the version that has the same files already."""
    wanted = {f"sha256:{file.sha256_hex}" for file in submission.files}
    try:
        versions = client.versions(name)
    except ApiError as error:
        if error.code == "model_not_found":
            return None
        raise
    same = (version for version in versions if {file["digest"] for file in version["files"]} == wanted)
    return next((int(version["version"]) for version in same), None)
