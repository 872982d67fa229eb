"""``sardonyx bench``: how many rows a second a version answers, by rows a request and connections.

What is swept is what a caller chooses: how many rows a request has, and how many threads ask at once, each over a
connection of its own. How many threads a run has, and which requests share one, the gateway chooses by what
registration has found: that is shown beside the sweep, and is no part of it.

1. It only predicts, and always one version: what an alias means is looked up once, so that neither its canary nor its
   shadow has to do with it.
2. Every combination is warmed up, then measured once in each round; a combination's numbers are the medians of its
   rounds. Rounds go through all combinations, so that a machine that slows down slows all of them.
3. How many rows a body has that was given is not known: its answers are counted, and no rows.
4. Where the load comes from the machine that answers it, both share its processors: the numbers say so, and are a lower
   bound of what the gateway could do for somebody else's machine.
"""

import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.bodies import body_of, can_grow
from gateway.cli.connection import connect_live
from gateway.cli.exits import CommandFailed, ExitCode
from gateway.cli.options import AsJson, LiveUrl, ModelOrVersion
from gateway.cli.output import Output, align, spell_seconds
from gateway.cli.own_runs import own_run_facts
from gateway.client.addresses import parse_token
from gateway.client.client import Client
from gateway.client.errors import ApiError, ClientError
from gateway.client.references import PRODUCTION, Target, parse_target

if TYPE_CHECKING:
    from gateway.cli.closed_loop import Request, Round

COLUMNS: Final = ("ROWS", "CONNECTIONS", "ANSWERS/S", "ROWS/S", "P50", "P99", "FAILED")
_MOST_ROWS, _MOST_CONNECTIONS = 100_000, 512
_WARM_UP_SHARE: Final = 0.2
_BUSY_SHARE: Final = 0.7
_BAR: Final = 30
_ROWS: Final = "1,8,32"
_COUNT: Final = re.compile("[1-9][0-9]{0,8}")
_TOO_LARGE: Final = 413

Cell = dict[str, Any]


def bench(
    reference: ModelOrVersion,
    *,
    body: Annotated[
        str | None,
        typer.Option("--body", metavar="FILE|-", help="Send this body; by default the gateway's own valid example."),
    ] = None,
    rows: Annotated[
        str | None, typer.Option("--rows", metavar="N,N", help=f"Rows a request, by default {_ROWS}. Not with --body.")
    ] = None,
    connections: Annotated[
        str, typer.Option("--connections", metavar="N,N", help="How many threads of a caller ask at once.")
    ] = "1,4,16",
    seconds: Annotated[float, typer.Option("--seconds", min=0.05, max=600, help="How long one measurement is.")] = 1.0,
    rounds: Annotated[
        int, typer.Option("--rounds", min=1, max=100, help="How often each combination is measured.")
    ] = 3,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Write the numbers as a picture, in SVG.")
    ] = None,
    as_json: AsJson = False,
    url: LiveUrl = None,
) -> None:
    """Measure a version on a running gateway, as callers see it.

    Rows a request by connections: each combination's answers, rows and latencies, as medians over rounds. A connection
    stands for a thread of a caller: it asks again as soon as it is answered, so whoever else uses the gateway meanwhile
    waits longer. How many threads a run itself has, and which requests share one, is the gateway's choice: what
    registration has found out about that is shown below the table.
    """
    output = Output(as_json)
    wanted_connections = parse_counts(connections, most=_MOST_CONNECTIONS, option="--connections")
    if rows is not None and body is not None:
        raise typer.BadParameter("a body that is given has the rows that it has", param_hint="--rows")
    wanted_rows = parse_counts(rows or _ROWS, most=_MOST_ROWS, option="--rows")
    with connect_live(url) as (client, address):
        target = _resolve(client, reference)
        bodies, left_out = _tried(client, target, _bodies(client, target, body, wanted_rows))
        own_runs = _own_runs(client, target)
        requests = {count: _request(target, address, octets) for count, octets in bodies.items()}
        report = _measure(output, requests, wanted_connections, seconds=seconds, rounds=rounds)
    document = {"reference": str(target), "address": address, "left_out": left_out, "own_runs": own_runs, **report}
    notes = [*note_lines(document)]
    output.data(document)
    output.say(f"{target} at {address}")
    output.table(*_table(document["cells"]))
    output.say(*notes, *own_run_lines(own_runs))
    if plot is not None:
        plot.write_text(picture(document, notes), encoding="utf-8")
        output.say(f"Drawn in {plot}")
    if not any(cell["answers"] for cell in document["cells"]):
        raise CommandFailed(
            ExitCode.FAILED, code="no_good_answer", title="Nothing was measured", detail="no answer was a good one"
        )


def parse_counts(text: str, *, most: int, option: str) -> list[int]:
    """Parse ``1,8,32``: ascending, each once.

    Raises:
        typer.BadParameter: it is no such list.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(_COUNT.fullmatch(part) and int(part) <= most for part in parts):
        raise typer.BadParameter(f"{text!r} is not a list of numbers from 1 to {most}, such as 1,8", param_hint=option)
    return sorted({int(part) for part in parts})


def note_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a reader of the numbers has to know."""
    yield (
        f"rounds of {document['seconds']:g} s, medians of {document['rounds']}, closed loop: each connection sends "
        "its next request when it has its answer"
    )
    for rows, code in document["left_out"].items():
        yield f"requests of {rows} rows are left out: {code}"
    if document["is_same_machine"]:
        yield (
            f"the load comes from the machine that answers ({document['cpus']} CPUs for both): less than it could "
            "answer another one"
        )
    if document["generator_cpu_share"] > _BUSY_SHARE:
        yield (
            f"the generator took up to {document['generator_cpu_share']:.0%} of a CPU: it may be what is slow, not the "
            "gateway"
        )


def own_run_lines(own_runs: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield what is known of the version's own runs, which the sweep has no say in."""
    if own_runs is not None:
        yield "its own runs, as measured at registration:"
        yield from (f"  {line}" for line in align([*own_run_facts(own_runs)]))


def picture(document: Mapping[str, Any], notes: Sequence[str]) -> str:
    """Return the numbers as SVG: throughput and the slowest hundredth, a line for each size of request."""
    from gateway.cli.chart import Panel, draw

    cells = document["cells"]
    places = sorted({cell["connections"] for cell in cells})
    sizes = dict.fromkeys(cell["rows"] for cell in cells)
    found = {(cell["rows"], cell["connections"]): cell for cell in cells}

    def lines(key: str, scale: float) -> dict[str, list[float | None]]:
        return {
            _size_words(size): [
                None if (value := found[size, place][key]) is None else value * scale for place in places
            ]
            for size in sizes
        }

    labels = [str(place) for place in places]
    counted = "answers" if None in sizes else "rows"
    panels = (
        Panel(title=f"{counted} a second", places=labels, axis="connections", lines=lines(f"{counted}_per_second", 1)),
        Panel(title="p99 in milliseconds", places=labels, axis="connections", lines=lines("p99_seconds", 1000)),
    )
    return draw(panels, title=f"{document['reference']}", notes=notes)


def _size_words(rows: int | None) -> str:
    return "the body" if rows is None else f"{rows} row{'s' * (rows > 1)}"


def _resolve(client: Client, reference: str) -> Target:
    """Return the version that is meant, by its number."""
    target = parse_target(reference)
    number = target.version or client.alias(target.model, target.alias or PRODUCTION)["version"]
    return Target(target.model, version=number)


def _bodies(
    client: Client, target: Target, file: str | None, rows: Sequence[int]
) -> Iterator[tuple[int | None, bytes]]:
    """Yield the rows of each size of request, and its body; None for a body that was given."""
    assert target.version is not None  # noqa: S101 - it is resolved
    if file is not None:
        yield None, sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return
    inputs = client.version(target.model, target.version).inputs
    example = client.example(target.model, target.version)
    for count in rows if can_grow(inputs) else rows[:1]:
        octets, has = body_of(example, inputs, count if can_grow(inputs) else 1)
        yield has, octets


def _tried(
    client: Client, target: Target, bodies: Iterator[tuple[int | None, bytes]]
) -> tuple[dict[int | None, bytes], dict[str, str]]:
    """Send each body once, which loads the version; return those that are taken, and why larger ones are not.

    Raises:
        ApiError: the smallest one is refused, or any for another reason than its size.
    """
    taken: dict[int | None, bytes] = {}
    left_out = {}
    for count, octets in bodies:
        try:
            client.predict_json(str(target), octets)
        except ApiError as error:
            if not taken or error.status != _TOO_LARGE:
                raise
            left_out[str(count)] = error.code
        else:
            taken[count] = octets
    return taken, left_out


def _own_runs(client: Client, target: Target) -> Mapping[str, Any] | None:
    """Return what registration has found of the version's runs; None where the gateway does not say now."""
    assert target.version is not None  # noqa: S101 - it is resolved
    try:
        document = client.version(target.model, target.version).document
    except ClientError:
        return None
    return {name: document.get(name) for name in ("batch_report", "thread_report")}


def _request(target: Target, address: str, octets: bytes) -> "Request":
    from gateway.cli.closed_loop import Request
    from gateway.settings import client_settings

    return Request(url=address, path=target.predict_path, body=octets, token=parse_token(client_settings().token))


def _measure(
    output: Output, requests: Mapping[int | None, "Request"], connections: Sequence[int], *, seconds: float, rounds: int
) -> dict[str, Any]:
    from gateway.cli.closed_loop import is_this_machine, run_round
    from registry.inspection.host import usable_cpus

    places = [(count, among) for count in requests for among in connections]
    for count, among in places:
        run_round(requests[count], connections=among, seconds=seconds * _WARM_UP_SHARE)
    found: dict[tuple[int | None, int], list[Round]] = {place: [] for place in places}
    for number in range(1, rounds + 1):
        began = time.monotonic()
        for count, among in places:
            found[count, among].append(run_round(requests[count], connections=among, seconds=seconds))
        if sys.stderr.isatty() and not output.as_json:
            typer.echo(f"round {number} of {rounds}: {time.monotonic() - began:.1f} s", err=True)
    url = next(iter(requests.values())).url
    return {
        "rounds": rounds,
        "seconds": seconds,
        "is_same_machine": is_this_machine(url),
        "cpus": usable_cpus(),
        "generator_cpu_share": max(one.cpu_seconds / one.seconds for cell in found.values() for one in cell),
        "cells": [_cell(*place, cell) for place, cell in found.items()],
    }


def _cell(rows: int | None, connections: int, rounds: Sequence["Round"]) -> Cell:
    from statistics import median

    per_second = median(one.per_second for one in rounds)
    return {
        "rows": rows,
        "connections": connections,
        "answers_per_second": per_second,
        "rows_per_second": None if rows is None else per_second * rows,
        "p50_seconds": _median_quantile(rounds, 0.5),
        "p99_seconds": _median_quantile(rounds, 0.99),
        "answers": sum(len(one.latencies) for one in rounds),
        "failed": dict(sum((one.failed for one in rounds), Counter[str]())),
    }


def _median_quantile(rounds: Sequence["Round"], share: float) -> float | None:
    from statistics import median

    known = [quantile for one in rounds if (quantile := one.quantile(share)) is not None]
    return median(known) if known else None


def _table(cells: Sequence[Cell]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    rows: list[tuple[str, ...]] = [
        (
            "-" if cell["rows"] is None else str(cell["rows"]),
            str(cell["connections"]),
            f"{cell['answers_per_second']:.0f}",
            "-" if cell["rows_per_second"] is None else f"{cell['rows_per_second']:.0f}",
            "-" if cell["p50_seconds"] is None else spell_seconds(cell["p50_seconds"]),
            "-" if cell["p99_seconds"] is None else spell_seconds(cell["p99_seconds"]),
            ", ".join(f"{count} x {code}" for code, count in sorted(cell["failed"].items())),
        )
        for cell in cells
    ]
    if not sys.stdout.isatty():
        return COLUMNS, rows
    speeds = [cell["answers_per_second"] * (cell["rows"] or 1) for cell in cells]
    most = max(speeds, default=0) or 1
    bars = ["\u2588" * round(_BAR * speed / most) for speed in speeds]
    return (*COLUMNS, ""), [(*row, bar) for row, bar in zip(rows, bars, strict=True)]
