"""What there is: models and versions; what a model is for, and how a version ends."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from gateway.cli.connection import connect, public_url
from gateway.cli.options import AsJson, Model, ModelOrVersion, Url, VersionNumber
from gateway.cli.output import Output, align, spell_bytes, spell_time
from gateway.cli.own_runs import own_run_facts
from gateway.client.errors import UnusableArgument
from gateway.client.references import PRODUCTION, parse_target
from gateway.client.versions import spell_specs

_DIGEST_SHOWN = len("sha256:") + 12


def models(
    *,
    query: Annotated[
        str | None, typer.Option("--query", "-q", metavar="TEXT", help="Only those with this in name or description.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List the models and their aliases."""
    output = Output(as_json)
    with connect(url) as client:
        found = client.models(query)
    output.data(found)
    rows = [(model["name"], model["latest_version"], spell_aliases(model), model["description"]) for model in found]
    output.table(("NAME", "LATEST", "ALIASES", "DESCRIPTION"), rows)


def versions(name: Model, *, as_json: AsJson = False, url: Url = None) -> None:
    """List a model's versions, newest first."""
    output = Output(as_json)
    with connect(url) as client:
        found = client.versions(name)
    output.data(found)
    rows = [
        (
            version["version"],
            _spell_state(version),
            spell_bytes(version["size_bytes"]),
            version["digest"][:_DIGEST_SHOWN],
            spell_time(version["created_at"]),
            version["created_by"],
            version["description"],
        )
        for version in found
    ]
    output.table(("VERSION", "STATE", "SIZE", "DIGEST", "CREATED (UTC)", "BY", "DESCRIPTION"), rows)


class Language(StrEnum):
    """What a snippet can be written in."""

    CURL = "curl"
    PYTHON = "python"
    CLIENT = "client"
    JAVASCRIPT = "javascript"
    TRITONCLIENT = "tritonclient"


def show(
    reference: ModelOrVersion,
    *,
    snippet: Annotated[
        Language | None,
        typer.Option("--snippet", help="Print a program that calls the version; of a NAME alone, what is live."),
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show a model or a version, or a program that calls it."""
    output = Output(as_json)
    if snippet is not None:
        _print_snippet(output, reference, snippet, url)
        return
    with connect(url) as client:
        found = client.show(reference)
    output.data(found)
    if not as_json:
        facts = _version_facts(found) if "signature" in found else _model_facts(found)
        output.say(*align([fact for fact in facts if fact[1]]))


def _print_snippet(output: Output, reference: str, language: Language, url: str | None) -> None:
    target = parse_target(reference)
    with connect(url) as client:
        number = target.version or client.alias(target.model, target.alias or PRODUCTION)["version"]
        found = client.snippets(target.model, number, base_url=public_url(url)[0])
    written = next((item for item in found["items"] if item["language"] == language), None)
    if written is None:
        reasons = [left["reason"] for left in found["left_out"] if left["language"] == language]
        raise UnusableArgument(f"{reference} has no snippet for {language}: {'; '.join(reasons)}")
    output.data(written)
    if not output.as_json:
        output.say(written["code"])


def describe(
    name: Model,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="For people; '' for none.")],
    *,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Say what a model is for, as lists and searches show it."""
    output = Output(as_json)
    with connect(url) as client:
        document = client.describe(name, text)
    output.data(document)
    output.say(f"{name}: {document['description'] or 'no description'}")


def retire(name: Model, version: VersionNumber, *, as_json: AsJson = False, url: Url = None) -> None:
    """Retire a version for good.

    It answers no more, and its number is never used again.
    """
    output = Output(as_json)
    with connect(url) as client:
        document = client.retire(name, version)
    output.data(document)
    output.say(f"Retired {name}:{version}")


def spell_aliases(model: Mapping[str, Any]) -> str:
    """Spell where a model's aliases point: ``production -> 3 (10 % -> 4), staging -> 4``."""
    canaries = model.get("canaries") or {}
    return ", ".join(
        f"{alias} -> {version}" + (f" ({spell_canary(canaries[alias])})" if alias in canaries else "")
        for alias, version in sorted(model["aliases"].items())
    )


def spell_canary(canary: Mapping[str, Any]) -> str:
    """Spell a canary: ``10 % -> 4``."""
    return f"{canary['percent']:g} % -> {canary['version']}"


def _model_facts(model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "model", model["name"]
    yield "description", model["description"]
    yield "tags", _spell_tags(model["tags"])
    yield "latest version", str(model["latest_version"] or "none")
    yield "aliases", spell_aliases(model) or "none"
    yield "created", f"{spell_time(model['created_at'])} UTC by {model['created_by']}"


def _version_facts(version: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "version", f"{version['model']}:{version['version']}"
    yield "state", version["state"]
    yield "inputs", spell_specs(version["signature"]["inputs"])
    yield "outputs", spell_specs(version["signature"]["outputs"])
    yield "size", spell_bytes(version["size_bytes"])
    yield "memory", spell_bytes(version["memory_bytes"])
    yield "runs", spell_standing(version)
    yield "examples", str(version.get("examples") or "none")
    yield "batching", version["batching"]
    yield from own_run_facts(version)
    yield "opset", str(version["opset"])
    yield "producer", version["producer"]
    yield "description", version["description"]
    yield "tags", _spell_tags(version["tags"])
    yield "created", f"{spell_time(version['created_at'])} UTC by {version['created_by']}"
    yield "digest", version["digest"]
    yield "location", version["location"]
    for file in version["files"]:
        yield "file", f"{file['name']}, {spell_bytes(file['size_bytes'])}, {file['digest']}"


def _spell_state(version: Mapping[str, Any]) -> str:
    """Spell whether a version answers: one that runs apart, or not at all, is not simply ready."""
    place = str(version.get("isolation", "in_process"))
    return version["state"] if version["state"] == "retired" or place == "in_process" else place


def spell_standing(version: Mapping[str, Any]) -> str:
    """Spell where a version runs and why: ``isolated, 2 deaths: SIGFPE ended its child during a run``."""
    deaths = version.get("deaths", 0)
    counted = f", {deaths} death{'s' * (deaths != 1)}" if deaths else ""
    reason = version.get("isolation_reason")
    place = str(version.get("isolation", "in_process")).replace("_", " ")
    return place + counted + (f": {reason}" if reason else "")


def _spell_tags(tags: Mapping[str, str]) -> str:
    return ", ".join(f"{key}:{value}" for key, value in sorted(tags.items()))
