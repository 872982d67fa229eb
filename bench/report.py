"""Medians side by side, on the terminal and as JSON with the machine they were measured on."""

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from bench.measuring import Measurement
from bench.servers import CACHE, ROOT
from bench.wrk import Load

PACKAGES = ("onnxruntime", "numpy", "fastapi", "pydantic", "starlette", "uvicorn", "uvloop", "httptools")
KEPT = ROOT / "bench" / "results"
"""What docs/benchmarks.md is drawn from: one file a suite, in git, written where ``--keep`` says so."""
LAST = CACHE / "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The medians of one server at one number of connections."""

    requests_per_second: float
    spread: float
    """(largest - smallest) / median of the requests a second of the rounds."""
    cpu_us_per_request: float
    p50_us: float
    p90_us: float
    p99_us: float
    p999_us: float
    rounds: int
    error_count: int
    checked_count: int
    wrong_count: int
    foreign_share: float
    """The most that other processes took of the two cores in any round."""


Table = Mapping[str, Mapping[int, Row]]
"""By contestant and by connections."""


def summarise(measurements: Iterable[Measurement]) -> Table:
    """Take the medians over the rounds, of one model."""
    grouped: dict[str, dict[int, list[Measurement]]] = {}
    for one in measurements:
        grouped.setdefault(one.contestant, {}).setdefault(one.connections, []).append(one)
    return {
        name: {connections: _medians(ones) for connections, ones in sorted(by_connections.items())}
        for name, by_connections in grouped.items()
    }


def _medians(ones: Sequence[Measurement]) -> Row:
    rates = [one.load.requests_per_second for one in ones]
    return Row(
        requests_per_second=round(median(rates), 1),
        spread=round((max(rates) - min(rates)) / median(rates), 3) if median(rates) else 0.0,
        cpu_us_per_request=round(median(one.cpu_us_per_request for one in ones), 1),
        p50_us=median(one.load.p50_us for one in ones),
        p90_us=median(one.load.p90_us for one in ones),
        p99_us=median(one.load.p99_us for one in ones),
        p999_us=median(one.load.p999_us for one in ones),
        rounds=len(ones),
        error_count=sum(one.load.error_count for one in ones),
        checked_count=sum(one.checked_count for one in ones),
        wrong_count=sum(one.wrong_count for one in ones),
        foreign_share=max(one.foreign_share for one in ones),
    )


def format_table(table: Table, baseline: str) -> str:
    """One line for each server: requests a second (and how many times the baseline's), CPU a request, latencies."""
    connections = sorted({count for rows in table.values() for count in rows})
    heads = [f"{count} connection{'s' if count > 1 else ''}" for count in connections]
    lines = [f"{'':28}" + "".join(f"{head:>34}" for head in heads)]
    lines.append(f"{'':28}" + f"{'req/s':>10}{'x':>6}{'cpu us':>8}{'p99 ms':>9} " * len(connections))
    for name, rows in table.items():
        base = table.get(baseline, {})
        cells = "".join(_format_cell(rows.get(count), base.get(count)) for count in connections)
        bad = sum(row.error_count + row.wrong_count for row in rows.values())
        lines.append(f"{name:28}{cells}" + (f"  {bad} ERRORS" if bad else ""))
    return "\n".join(lines)


def _format_cell(row: Row | None, base: Row | None) -> str:
    if row is None:
        return f"{'-':>33} "
    ratio = f"{row.requests_per_second / base.requests_per_second:.1f}" if base else "-"
    return f"{row.requests_per_second:10,.0f}{ratio:>6}{row.cpu_us_per_request:8.0f}{row.p99_us / 1000:9.2f} "


def write_results(suite: str, content: Mapping[str, Any], *, is_kept: bool) -> Path:
    """Write what a suite has found, with the machine and the versions, and return the file."""
    path = (KEPT if is_kept else LAST) / f"{suite}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {
        "suite": suite,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": describe_machine(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    }
    path.write_text(json.dumps({**head, **content}, indent=1) + "\n")
    return path


def tables_as_json(tables: Mapping[str, Table]) -> dict[str, Any]:
    """By model, contestant and connections."""
    return {
        model: {name: {str(count): asdict(row) for count, row in rows.items()} for name, rows in table.items()}
        for model, table in tables.items()
    }


def tables_from_json(content: Mapping[str, Any]) -> dict[str, Table]:
    """Read what ``tables_as_json`` has made."""
    return {
        model: {name: {int(count): Row(**row) for count, row in rows.items()} for name, rows in table.items()}
        for model, table in content.items()
    }


def measurement_from_json(content: Mapping[str, Any]) -> Measurement:
    """Read what ``dataclasses.asdict`` has made of a measurement."""
    own = {field.name: content[field.name] for field in fields(Measurement)}
    return Measurement(**{**own, "load": Load(**content["load"])})


def describe_machine() -> dict[str, str | int | None]:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    cpu = models[0].partition(":")[2].strip() if models else platform.processor()
    return {"cpu": cpu, "cpus": os.cpu_count(), "architecture": platform.machine(), "kernel": platform.release()}


def commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    return done.stdout.strip() or "unknown"
