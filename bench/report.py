"""Medians side by side, on the terminal and as JSON with the machine they were measured on."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from bench.servers import ROOT
from bench.wrk import Load

PACKAGES = ("onnxruntime", "numpy", "fastapi", "pydantic", "starlette", "uvicorn", "uvloop", "httptools")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One run of the load generator against one server."""

    contestant: str
    connections: int
    round: int
    load: Load
    cpu_seconds: float

    @property
    def cpu_us_per_request(self) -> float:
        return self.cpu_seconds * 1e6 / max(self.load.requests, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The medians of one server at one number of connections."""

    requests_per_second: float
    cpu_us_per_request: float
    p50_us: float
    p99_us: float
    error_count: int


Table = Mapping[str, Mapping[int, Row]]


def summarise(measurements: Sequence[Measurement]) -> Table:
    grouped: dict[str, dict[int, list[Measurement]]] = {}
    for one in measurements:
        grouped.setdefault(one.contestant, {}).setdefault(one.connections, []).append(one)
    return {
        name: {connections: _medians(ones) for connections, ones in by_connections.items()}
        for name, by_connections in grouped.items()
    }


def _medians(ones: Sequence[Measurement]) -> Row:
    return Row(
        requests_per_second=median(one.load.requests_per_second for one in ones),
        cpu_us_per_request=median(one.cpu_us_per_request for one in ones),
        p50_us=median(one.load.p50_us for one in ones),
        p99_us=median(one.load.p99_us for one in ones),
        error_count=sum(one.load.error_count for one in ones),
    )


def format_table(table: Table, baseline: str) -> str:
    """One line for each server: requests a second (and how many times the baseline's), CPU a request, latencies."""
    connections = sorted({count for rows in table.values() for count in rows})
    heads = [f"{count} connection{'s' if count > 1 else ''}" for count in connections]
    lines = [f"{'':28}" + "".join(f"{head:>34}" for head in heads)]
    lines.append(f"{'':28}" + f"{'req/s':>10}{'x':>6}{'cpu us':>8}{'p99 ms':>9} " * len(connections))
    for name, rows in table.items():
        cells = "".join(_format_cell(rows[count], table.get(baseline, {}).get(count)) for count in connections)
        errors = sum(row.error_count for row in rows.values())
        lines.append(f"{name:28}{cells}" + (f"  {errors} ERRORS" if errors else ""))
    return "\n".join(lines)


def _format_cell(row: Row, base: Row | None) -> str:
    ratio = f"{row.requests_per_second / base.requests_per_second:.1f}" if base else "-"
    return f"{row.requests_per_second:10,.0f}{ratio:>6}{row.cpu_us_per_request:8.0f}{row.p99_us / 1000:9.2f} "


def write_results(table: Table, measurements: Sequence[Measurement], *, seconds: int) -> Path:
    """Write everything into bench/results and return the file."""
    now = datetime.now(UTC)
    path = ROOT / "bench" / "results" / f"{now:%Y%m%dT%H%M%SZ}.json"
    path.parent.mkdir(exist_ok=True)
    content = {
        "at": now.isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": describe_machine(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "seconds": seconds,
        "medians": {name: {str(count): asdict(row) for count, row in rows.items()} for name, rows in table.items()},
        "measurements": [asdict(one) for one in measurements],
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def describe_machine() -> dict[str, str | int | None]:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    cpu = models[0].partition(":")[2].strip() if models else platform.processor()
    return {"cpu": cpu, "cpus": os.cpu_count(), "architecture": platform.machine(), "kernel": platform.release()}


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    return done.stdout.strip() or "unknown"
