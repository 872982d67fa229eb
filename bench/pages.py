"""The figures of docs/benchmarks.md, drawn from bench/results: `make bench-docs`.

The page's words are written by hand. What stands between ``<!-- drawn: NAME -->`` and ``<!-- end -->`` is replaced, and
the plots beside the page are drawn anew.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench.contestants import BareOk, Gateway
from bench.measuring import DISTURBED_SHARE
from bench.models import MODELS, TINY
from bench.plots import Bars, draw_bars, draw_lines
from bench.report import KEPT, Row, Table, tables_from_json
from bench.servers import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
PLOTS = ROOT / "docs" / "benchmarks"
_REGION = re.compile(r"(<!-- drawn: ([a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)

Results = Mapping[str, Any]


class NotMeasuredError(Exception):
    """A file that the page is drawn from is not there."""


def main() -> int:
    try:
        gateway, peers, tails = (read_results(suite) for suite in ("gateway", "peers", f"tails-{TINY.name}"))
    except NotMeasuredError as error:
        print(error, file=sys.stderr)
        return 1
    regions: dict[str, Callable[[], Iterator[str]]] = {
        "gateway": lambda: draw_gateway(gateway),
        "peers": lambda: draw_peers(peers),
        "tails": lambda: draw_tails(tails),
        "conditions": lambda: draw_conditions({"gateway": gateway, "peers": peers, "tails": tails}),
    }
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(fill(page, {name: "\n".join(draw()) for name, draw in regions.items()}), encoding="utf-8")
    print(PAGE)
    return 0


def read_results(suite: str) -> Results:
    path = KEPT / f"{suite}.json"
    if not path.exists():
        raise NotMeasuredError(f"{path.relative_to(ROOT)} is missing: measure with --keep")
    content: Results = json.loads(path.read_text())
    return content


def fill(page: str, regions: Mapping[str, str]) -> str:
    """Replace each marked region by what has been drawn for it; a mark without anything to fill it raises KeyError."""
    return _REGION.sub(lambda found: f"{found[1]}{regions[found[2]]}\n{found[3]}", page)


def draw_gateway(results: Results) -> Iterator[str]:
    """Yield the ratios of `make bench`, then its tables."""
    yield "| ratio, within one turn | median | lowest to highest | wanted |"
    yield "|---|---|---|---|"
    for ratio in results["ratios"]:
        wanted = ratio["comparison"]
        aims = [f"at least {wanted['at_least']:g}"] if wanted["at_least"] is not None else []
        aims += [f"at most {wanted['at_most']:g}"] if wanted["at_most"] is not None else []
        figures = f"{ratio['value']:.2f} | {ratio['low']:.2f} to {ratio['high']:.2f}"
        yield f"| {wanted['what']} | {figures} | {' and '.join(aims)} |"
    for model, table in tables_from_json(results["medians"]).items():
        yield ""
        yield f"{_title(model)}:"
        yield ""
        yield from table_lines(table)


def draw_peers(results: Results) -> Iterator[str]:
    """Yield a plot and a table for each model, and who was left out."""
    for model, table in tables_from_json(results["medians"]).items():
        connections = _connections(table)
        rows = [
            Bars(name, [row.requests_per_second if (row := rows.get(count)) else None for count in connections])
            for name, rows in table.items()
        ]
        title = f"Requests a second, {_title(model)}, one core"
        kinds = [_count(count) for count in connections]
        _write(f"peers-{model}.svg", draw_bars(title, kinds, rows))
        yield f"### {_title(model)[0].upper()}{_title(model)[1:]}"
        yield ""
        yield f"![{title}](benchmarks/peers-{model}.svg)"
        yield ""
        yield from table_lines(table)
        yield ""
        yield "Requests a second of the gateway beside each, the median of the ratios of a round (lowest to highest):"
        yield ""
        yield from ratio_lines([one for one in results["ratios"] if one["comparison"]["model"] == model])
        yield ""
        yield f"Beside the quickest other server, by medians: {best_others(table)}."
        yield ""
    for skipped in results["skipped"]:
        yield f"- left out with the {skipped['model']} model: {skipped['contestant']}: {skipped['why'].splitlines()[0]}"


def ratio_lines(ratios: Sequence[Results]) -> Iterator[str]:
    """Yield a table in Markdown: the others as rows, the connections as columns."""
    cells: dict[str, dict[int, str]] = {}
    for ratio in ratios:
        wanted = ratio["comparison"]
        text = f"{ratio['value']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"
        cells.setdefault(wanted["other"], {})[wanted["connections"]] = text
    connections = sorted({count for row in cells.values() for count in row})
    yield f"| beside | {' | '.join(_count(count) for count in connections)} |"
    yield "|---" * (1 + len(connections)) + "|"
    for name, row in cells.items():
        yield f"| {name} | {' | '.join(row.get(count, '-') for count in connections)} |"


def best_others(table: Table) -> str:
    """Say how many times the best other server's rate the gateway has, at each number of connections."""
    said = []
    for count, ours in table[Gateway.name].items():
        others = {name: rows[count] for name, rows in table.items() if name != Gateway.name and count in rows}
        if others:
            best = max(others, key=lambda name: others[name].requests_per_second)
            ratio = ours.requests_per_second / others[best].requests_per_second
            said.append(f"{ratio:.2f} times {best} at {_count(count)}")
    return ", ".join(said)


def draw_tails(results: Results) -> Iterator[str]:
    """Yield a plot of the 99th percentiles, and the table."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for one in results["medians"]:
        if not one["is_overloaded"]:
            lines.setdefault(one["contestant"], []).append((one["rate"], one["p99_us"] / 1000))
    title = f"99th percentile from the moment a request was due, {_title(TINY.name)}"
    _write("tails.svg", draw_lines(title, "requests due a second", "ms", lines))
    yield f"![{title}](benchmarks/tails.svg)"
    yield ""
    yield "| server | due a second | answered | p50 ms | p90 | p99 | p99.9 | generator late, p99 ms |"
    yield "|---|---|---|---|---|---|---|---|"
    for one in results["medians"]:
        names = ("p50_us", "p90_us", "p99_us", "p999_us")
        cells = ["fell behind", "", "", ""] if one["is_overloaded"] else [f"{one[name] / 1000:.2f}" for name in names]
        late = f"{one['generator_late_p99_us'] / 1000:.3f}"
        figures = " | ".join([f"{one['rate']:,}", f"{one['answered_per_second']:,.0f}", *cells, late])
        yield f"| {one['contestant']} | {figures} |"


def draw_conditions(all_results: Mapping[str, Results]) -> Iterator[str]:
    """Yield on what, of what and how quietly it was measured."""
    for suite, results in all_results.items():
        commits = ", ".join(one[:12] + ("-dirty" if "dirty" in one else "") for one in _commits(results))
        measured = [one["foreign_share"] for one in results["measurements"]]
        noise = f"others took {median(measured):.0%} of the two cores in the median, {max(measured):.0%} at most"
        warning = ": **not quiet enough, to be measured again**" if median(measured) > DISTURBED_SHARE / 2 else ""
        machine = results["machine"]
        where = f"{machine['cpu']}, {machine['cpus']} cores, {machine['architecture']}, Linux {machine['kernel']}"
        taken = f"{results['at'][:10]}, {results['seconds']} s each, commit {commits}"
        yield f"- {suite}: {where}; {taken}; {noise}{warning}"
    spreads = [row.spread for row in _all_rows(all_results["peers"])]
    yield (
        f"- peers: the rounds of a row lie {median(spreads):.0%} apart in the median, {max(spreads):.0%} at most: "
        "take smaller differences for ties"
    )
    versions = next(iter(all_results.values()))["versions"]
    yield f"- {', '.join(f'{name} {number}' for name, number in versions.items())}"
    peers = {name: pins for name, pins in all_results["peers"]["peers"].items() if name in _names(all_results["peers"])}
    yield f"- {', '.join(_version(name, pins) for name, pins in peers.items())}"


def table_lines(table: Table) -> Iterator[str]:
    """Yield a table in Markdown: rate, CPU and 99th percentile at each number of connections."""
    connections = _connections(table)
    heads = " | ".join(f"{_count(count)}: req/s | CPU µs | p99 ms" for count in connections)
    yield f"| server | {heads} |"
    yield "|---" * (1 + 3 * len(connections)) + "|"
    for name, rows in table.items():
        cells = " | ".join(_cells(rows.get(count)) for count in connections)
        bad = sum(row.error_count for row in rows.values())
        yield f"| {name}{f' ({bad} refused or broken)' if bad else ''} | {cells} |"


def _cells(row: Row | None) -> str:
    if row is None:
        return "- | - | -"
    return f"{row.requests_per_second:,.0f} | {row.cpu_us_per_request:,.0f} | {row.p99_us / 1000:.1f}"


def _connections(table: Table) -> list[int]:
    return sorted({count for rows in table.values() for count in rows})


def _count(connections: int) -> str:
    return f"{connections} connection{'s' if connections > 1 else ''}"


def _title(model: str) -> str:
    return next(one.title for one in MODELS if one.name == model)


def _commits(results: Results) -> Sequence[str]:
    commits: Sequence[str] = results.get("commits") or [results["commit"]]
    return commits


def _all_rows(results: Results) -> Iterator[Row]:
    for table in tables_from_json(results["medians"]).values():
        for name, rows in table.items():
            if name != BareOk.name:
                yield from rows.values()


def _names(results: Results) -> set[str]:
    return {name for table in results["medians"].values() for name in table}


def _version(name: str, pins: Mapping[str, str]) -> str:
    packages = ("nvidia-pytriton", "mlserver", "kserve", "litserve", "bentoml", "ray")
    package = next(one for one in packages if one in pins)
    return f"{name}: {package} {pins[package]}"


def _write(name: str, drawing: str) -> None:
    PLOTS.mkdir(exist_ok=True)
    Path(PLOTS / name).write_text(drawing, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
