"""``sardonyx register``: from files to a version, and how to try it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.connection import connect, public_url
from gateway.cli.examples import read_example, read_examples
from gateway.cli.moves import move_lines
from gateway.cli.options import DEFAULT_ALIAS, AsJson, Url
from gateway.cli.output import Output, spell_bytes
from gateway.client.client import Client
from gateway.client.convert import prepare
from gateway.client.recording import REGISTRATION
from gateway.client.references import parse_target
from gateway.client.versions import VersionInfo, spell_specs

_LONGEST_BODY = 400


def register(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="One .onnx file; its external data files are found beside it."),
    ],
    *,
    name: Annotated[str, typer.Option("--name", help="The model's name; a new name makes a new model.")],
    description: Annotated[
        str, typer.Option("--description", help="What it is, for people; of a new model, too.")
    ] = "",
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="KEY:VALUE", help="A tag of the version; may be repeated.")
    ] = None,
    examples: Annotated[
        str | None,
        typer.Option(
            "--examples",
            metavar="FILE",
            help="Golden examples, a JSON list; a version that answers otherwise is refused.",
        ),
    ] = None,
    example: Annotated[
        str | None,
        typer.Option("--example", metavar="FILE", help='What it is called with, {"inputs"}: kept with its answer.'),
    ] = None,
    isolated: Annotated[
        bool, typer.Option("--isolated", help="Run it in a child process of its own, from the start.")
    ] = False,
    promote: Annotated[bool, typer.Option("--promote", help="Let production point at it.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Register a model and print its version.

    The same bytes again give the version that has them.
    """
    output = Output(as_json)
    tags = parse_tags(tag or [])
    golden = read_examples(examples) if examples else ()
    kept = read_example(example) if example else None
    submission = prepare(files)  # before rights are given up: the files may be readable for root only
    try:
        with connect(url) as client:
            with output.progress(f"sending {files[0].name}") as progress:
                version = client.submit(
                    submission,
                    name=name,
                    description=description,
                    tags=tags,
                    golden=golden,
                    is_isolated=isolated,
                    progress=progress,
                )
            output.say(*version_lines(version))
            version = _with_example(client, version, kept)
            moved = client.promote(name, version.version) if promote else None
            lines = move_lines(moved, url) if moved else _next_lines(client, version, url)
            output.say(*lines, *_try_lines(client, version, url))
    finally:
        submission.close()
    output.data({**version.document, "promotion": moved} if promote else version.document)


def _with_example(client: Client, version: VersionInfo, example: Mapping[str, Any] | None) -> VersionInfo:
    """Keep what a version is called with, unless it has that already; before it is promoted, so that it is checked."""
    if example is None or client.has_registration_example(version):
        return version
    client.record_example(version.model, version.version, {**example, "name": REGISTRATION})
    return VersionInfo(client.show(version.reference), is_new=version.is_new)


def parse_tags(texts: Sequence[str]) -> dict[str, str]:
    """Parse ``KEY:VALUE``; a value may hold colons.

    Raises:
        typer.BadParameter: there is no colon, or a key stands twice.
    """
    tags: dict[str, str] = {}
    for text in texts:
        key, colon, value = text.partition(":")
        if not colon or not key or key in tags:
            raise typer.BadParameter(f"{text!r} is not KEY:VALUE with a key of its own", param_hint="--tag")
        tags[key] = value
    return tags


def version_lines(version: VersionInfo) -> Iterator[str]:
    """Yield what a data scientist wants to see of a version that was just registered."""
    yield f"Registered {version.reference}" if version.is_new else f"{version.reference} has these bytes already"
    yield f"  inputs   {spell_specs(version.inputs) or 'none'}"
    yield f"  outputs  {spell_specs(version.outputs)}"
    memory_bytes = version.document.get("memory_bytes")
    memory = f", {spell_bytes(memory_bytes)} in memory" if memory_bytes is not None else ""
    yield f"  size     {spell_bytes(version.document['size_bytes'])}{memory}"
    yield f"  digest   {version.digest}"


def curl_line(address: str, path: str, body: Mapping[str, Any], *, needs_token: bool) -> str:
    """Return the line for a shell that predicts with this body."""
    token = ' -H "authorization: Bearer $SARDONYX_TOKEN"' if needs_token else ""
    quoted = json.dumps(body).replace("'", "'\\''")
    return f"curl -s {address}{path}{token} -H 'content-type: application/json' -d '{quoted}'"


def _try_lines(client: Client, version: VersionInfo, url: str | None) -> Iterator[str]:
    body = client.example(version.model, version.version)
    address, needs_token = public_url(url)
    if len(json.dumps(body)) > _LONGEST_BODY:
        yield f"Example  {address}/registry/models/{version.model}/versions/{version.version}/openapi.json"
        return
    path = parse_target(version.reference).predict_path
    yield f"Try it   {curl_line(address, path, body, needs_token=needs_token)}"


def _next_lines(client: Client, version: VersionInfo, url: str | None) -> Iterator[str]:
    if client.show(version.model)["aliases"].get(DEFAULT_ALIAS) != version.version:
        where = f" --url {url}" if url else ""
        yield f"Promote  sardonyx promote {version.model} {version.version}{where}"
