"""``sardonyx diff``: what tells two versions of a model apart.

1. Everything comes from the registry's records, but for two things: operators are counted in the graphs themselves, and
   outputs are what both versions answer to the golden examples now.
2. A graph is fetched whole to be read. One that is large (weights inside) is left alone unless ``--ops`` asks for it.
3. Which difference breaks whom is said by the rules that promotions follow (``registry.compatibility``), with the first
   version as the one that has callers.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

import typer

from gateway.cli.answers import answer_lines, compare_examples
from gateway.cli.completion import complete_version
from gateway.cli.connection import connect
from gateway.cli.exits import CommandFailed, ExitCode, difference_lines
from gateway.cli.graph_ops import count_operators
from gateway.cli.options import AsJson, Model, Url
from gateway.cli.output import Output, spell_bytes
from gateway.cli.plans import measure_rows, spell_known, spell_proven
from gateway.client.client import Client

_READ_UNASKED_BYTES: Final = 64 * 1024 * 1024
_ROWS_SHOWN: Final = 40

Document = Mapping[str, Any]
First = Annotated[
    int, typer.Argument(metavar="FIRST", min=1, help="A version's number.", autocompletion=complete_version)
]
Second = Annotated[
    int,
    typer.Argument(metavar="SECOND", min=1, help="The one that would take its place.", autocompletion=complete_version),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One thing that is another one in the second version."""

    what: str
    first: str
    second: str
    effect: str = ""


def diff(
    name: Model,
    first: First,
    second: Second,
    *,
    ops: Annotated[
        bool | None,
        typer.Option("--ops/--no-ops", help="Count operators; by default where the graphs are small enough to fetch."),
    ] = None,
    outputs: Annotated[
        bool, typer.Option("--outputs/--no-outputs", help="Have both answer the golden examples.")
    ] = True,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Compare two versions, down to what they answer.

    Their signatures, operators, files, costs and metadata, and their answers to the golden examples of both.
    """
    output = Output(as_json)
    with connect(url) as client:
        documents = (client.version(name, first).document, client.version(name, second).document)
        compared = compare_signatures(*documents)
        # A version that is retired has records only: nobody gives out its bytes, and nothing runs it.
        retired = [document["version"] for document in documents if document["state"] == "retired"]
        if retired:
            operators = _not_counted(f"version {retired[0]} is retired")
        else:
            operators = _operators(client, documents, is_wanted=ops)
        answers = compare_examples(client, name, (first, second)) if outputs and not retired else None
    records = list(record_pairs(*documents))
    output.data(
        {
            "model": name,
            "first": first,
            "second": second,
            **compared,
            "records": [asdict(pair) for pair in records],
            "operators": operators,
            "outputs": answers,
        }
    )
    output.say(f"{name}: {first} -> {second}", *signature_lines(compared))
    pairs = [*records, *operator_pairs(operators)]
    output.table(
        ("WHAT", str(first), str(second), ""), [(pair.what, pair.first, pair.second, pair.effect) for pair in pairs]
    )
    output.say(*note_lines(operators), *(answer_lines(answers) if answers is not None else ()))


def compare_signatures(first: Document, second: Document) -> dict[str, Any]:
    """Return what callers of the first version would notice of the second, as a promotion's plan has it."""
    from registry.compatibility import compare
    from registry.signature import Signature

    found = compare(Signature.from_json(first["signature"]), Signature.from_json(second["signature"]))
    return {
        "compatibility": str(found.compatibility),
        "differences": [_difference(difference) for difference in found.differences],
        "changes": [_difference(change) for change in found.changes],
    }


def signature_lines(compared: Document) -> Iterator[str]:
    """Yield the differences of the signatures with what they mean."""
    yield f"signature: {compared['compatibility']}"
    yield from difference_lines(compared["differences"])
    if compared["changes"]:
        yield "Nobody has to mind:"
        yield from difference_lines(compared["changes"])


def record_pairs(first: Document, second: Document) -> Iterator[Pair]:
    """Yield what the registry has on record: costs always, everything else where it differs."""
    for row in measure_rows(first, second):
        yield Pair(what=row.what, first=row.now, second=row.then, effect=row.effect)
    for what, one, other in (
        ("digest", first["digest"][:19], second["digest"][:19]),
        ("producer", first["producer"], second["producer"]),
        ("description", first["description"], second["description"]),
        ("batches proven", spell_proven(first), spell_proven(second)),
        ("batching", first["batching"], second["batching"]),
    ):
        if one != other:
            yield Pair(what=what, first=str(one), second=str(other))
    yield from _mapping_pairs("file", *(_files(document) for document in (first, second)))
    opsets = (
        {k: str(v) for k, v in document["opset_imports"].items() if k != "ai.onnx"} for document in (first, second)
    )
    yield from _mapping_pairs("opset", *opsets)
    yield from _mapping_pairs("metadata", first["metadata"], second["metadata"])
    yield from _mapping_pairs("tag", first["tags"], second["tags"])


def operator_pairs(operators: Document) -> Iterator[Pair]:
    """Yield the operators that do not stand equally often in both graphs, the largest difference first."""
    found = operators["differences"]
    ordered = sorted(found.items(), key=lambda item: (-abs(item[1][1] - item[1][0]), item[0]))
    for name, (one, other) in ordered[:_ROWS_SHOWN]:
        yield Pair(what=f"op {name}", first=str(one), second=str(other), effect=f"{other - one:+d}")
    if len(ordered) > _ROWS_SHOWN:
        yield Pair(what="op ...", first="", second="", effect=f"{len(ordered) - _ROWS_SHOWN} more")


def note_lines(operators: Document) -> Iterator[str]:
    """Yield what there is to say of the operators besides."""
    if operators["reason"]:
        yield f"operators: {operators['reason']}"
    elif not operators["differences"]:
        yield f"operators: the same in both ({operators['totals'][0]} nodes)"


def _not_counted(reason: str) -> dict[str, Any]:
    return {"totals": None, "differences": {}, "reason": f"not counted: {reason}"}


def _operators(client: Client, documents: tuple[Document, Document], *, is_wanted: bool | None) -> dict[str, Any]:
    """Return how often operators stand in both graphs, or why that is not known."""
    sizes = [document["files"][0]["size_bytes"] for document in documents]
    if is_wanted is False:
        return _not_counted("not asked for")
    if is_wanted is None and max(sizes) > _READ_UNASKED_BYTES:
        return _not_counted(f"a graph is {spell_bytes(max(sizes))}; --ops fetches it")
    counts = [_fetch_counts(client, document) for document in documents]
    first, second = counts
    names = sorted(first.keys() | second.keys())
    pairs = {name: [first.get(name, 0), second.get(name, 0)] for name in names}
    differences = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    return {"totals": [sum(count.values()) for count in counts], "differences": differences, "reason": ""}


def _fetch_counts(client: Client, document: Document) -> dict[str, int]:
    """Return how often each operator stands in a version's graph.

    Raises:
        CommandFailed: failed: what came is not what was registered.
    """
    octets = client.artifact(document["model"], document["version"])
    graph = document["files"][0]
    counts = count_operators(octets)
    if f"sha256:{hashlib.sha256(octets).hexdigest()}" != graph["digest"] or counts is None:
        raise CommandFailed(
            ExitCode.FAILED,
            code="artifact_corrupt",
            title="The graph is not the one that was registered",
            detail=f"{document['model']}:{document['version']} ({graph['name']})",
        )
    return counts


def _mapping_pairs(kind: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Pair]:
    for key in sorted(first.keys() | second.keys()):
        one, other = first.get(key), second.get(key)
        if one != other:
            yield Pair(what=f"{kind} {key}", first=spell_known(one, str), second=spell_known(other, str))


def _files(document: Document) -> dict[str, str]:
    return {file["name"]: f"{spell_bytes(file['size_bytes'])} {file['digest'][7:15]}" for file in document["files"]}


def _difference(difference: Any) -> dict[str, str]:
    return {"path": difference.path, "before": difference.before, "after": difference.after}
