"""``sardonyx top``: which versions are busy now, how quickly they answer, and what they take.

1. Rates are differences between two looks at ``/metrics``, so nothing is shown before the second one.
2. The table is bounded: the busiest rows, and a last one for all others together.
3. A gateway counts while its registry is away: what only the registry knows is a dash then.
4. Only a terminal is drawn on again and again. Anything else gets one look over one interval.
"""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.connection import connect_live
from gateway.cli.exits import is_passing
from gateway.cli.options import AsJson, LiveUrl
from gateway.cli.output import Output, align, plain, spell_bytes, spell_seconds
from gateway.cli.scrapes import Scrape, Traffic, growth, read_scrape, traffic
from gateway.client.client import Client
from gateway.client.errors import ClientError, NotFound
from gateway.client.wire import not_a_gateway

if TYPE_CHECKING:
    from rich.console import RenderableType

COLUMNS: Final = ("MODEL", "VERSION", "PER SECOND", "P50", "P99", "ERRORS", "MEMORY", "WORKERS")
_COUNTED: Final = {
    "hits": "sardonyx_cache_hits_total",
    "misses": "sardonyx_cache_misses_total",
    "evictions": "sardonyx_cache_evictions_total",
    "loads": "sardonyx_loads_total",
}
_MEASURED: Final = {
    "sessions": "sardonyx_resident_sessions",
    "session_bytes": "sardonyx_resident_bytes",
    "worker_bytes": "sardonyx_anonymous_bytes",
    "waiting_requests": "sardonyx_waiting_requests",
}


@dataclass(slots=True)
class Watcher:
    """Looks at one gateway again and again.

    Args:
        client: for the gateway.
        rows: how many versions are shown at most.
    """

    client: Client
    rows: int
    _before: Scrape | None = None
    _at: float = 0.0
    _memory: dict[tuple[str, str], int | None] = field(default_factory=dict)

    def look(self) -> dict[str, Any] | None:
        """Return what has happened since the last look; None for the first one.

        Raises:
            ApiError, ConnectionFailed: the gateway does not say.
        """
        now = time.monotonic()
        before, after = self._before, read_scrape(self.client.metrics())
        seconds, self._at, self._before = now - self._at, now, after
        try:
            return None if before is None else self._report(before, after, seconds)
        except (OverflowError, ValueError):  # numbers without an end, versions that are no numbers
            raise not_a_gateway("its metrics have values that a gateway's have not") from None

    def _report(self, before: Scrape, after: Scrape, seconds: float) -> dict[str, Any]:
        found = [one for one in traffic(before, after) if one.model]
        residents = self._residents()
        shown = [self._row(one, seconds, residents) for one in found[: self.rows]]
        return {
            "seconds": round(seconds, 3),
            "requests_per_second": _rate(sum(one.answers for one in found), seconds),
            "failed_per_second": _rate(sum(sum(one.failed.values()) for one in found), seconds),
            "cache": {name: round(growth(before, after, metric)) for name, metric in _COUNTED.items()},
            "memory": {name: round(after.totals.get(metric, 0)) for name, metric in _MEASURED.items()},
            "versions": shown,
            "left_out": _left_out(found[self.rows :], seconds),
        }

    def _residents(self) -> Mapping[str, int] | None:
        """Return how many workers have each version in memory; None if nobody says so now."""
        try:
            return Counter(reference for worker in self.client.workers() for reference in worker["resident"])
        except ClientError as error:
            if is_passing(error):
                return None
            raise

    def _row(self, one: Traffic, seconds: float, residents: Mapping[str, int] | None) -> dict[str, Any]:
        return {
            "model": one.model,
            "version": int(one.version),
            "requests_per_second": _rate(one.answers, seconds),
            "p50_seconds": one.p50_seconds,
            "p99_seconds": one.p99_seconds,
            "failed": {code: round(count) for code, count in sorted(one.failed.items())},
            "failed_share": sum(one.failed.values()) / one.answers,
            "memory_bytes": self._memory_of(one.model, one.version),
            "workers": None if residents is None else residents[f"{one.model}:{one.version}"],
        }

    def _memory_of(self, model: str, version: str) -> int | None:
        """Return what the version takes, which is asked for until it is known; None while it is not."""
        key = model, version
        if key not in self._memory:
            try:
                self._memory[key] = self.client.version(model, int(version)).document.get("memory_bytes")
            except NotFound:
                self._memory[key] = None
            except ClientError as error:
                if not is_passing(error):
                    raise
        return self._memory.get(key)


def top(
    *,
    rows: Annotated[
        int, typer.Option("--rows", "-n", metavar="N", min=1, max=1000, help="How many versions at most.")
    ] = 20,
    interval: Annotated[
        float,
        typer.Option("--interval", metavar="SECONDS", min=0.2, max=3600, help="How long from one look to the next."),
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="One look over one interval, then end.")] = False,
    as_json: AsJson = False,
    url: LiveUrl = None,
) -> None:
    """Show the busiest versions of a running gateway.

    Rates, latencies, errors and memory of each, and what the cache does.

    Ends with Ctrl-C on a terminal; anywhere else, and with --once or --json, after one look.
    """
    output = Output(as_json)
    with connect_live(url) as (client, address):
        watcher = Watcher(client, rows)
        watcher.look()
        if once or as_json or not sys.stdout.isatty():
            time.sleep(interval)
            report = watcher.look()
            assert report is not None  # noqa: S101 - it was the second look
            output.data(report)
            if not as_json:
                output.say(*header_lines(report, address))
                output.table(COLUMNS, table_rows(report))
            return
        with suppress(KeyboardInterrupt):
            _draw_for_ever(watcher, address, interval)


def header_lines(report: Mapping[str, Any], address: str) -> Iterator[str]:
    """Yield what concerns the gateway as a whole."""
    cache, memory = report["cache"], report["memory"]
    leases = cache["hits"] + cache["misses"]
    share = f"{100 * cache['hits'] / leases:.1f} % hits" if leases else "not used"
    yield (
        f"{address}  {report['requests_per_second']:g} requests/s, {report['failed_per_second']:g} failed/s, "
        f"{memory['waiting_requests']} waiting"
    )
    yield (
        f"cache {share}, {cache['loads']} loads, {cache['evictions']} evictions; {memory['sessions']} sessions take "
        f"{spell_bytes(memory['session_bytes'])}, workers {spell_bytes(memory['worker_bytes'])}"
    )


def table_rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a row for each version that is shown, and one for the rest."""
    rows: list[tuple[str, ...]] = [
        (
            row["model"],
            str(row["version"]),
            f"{row['requests_per_second']:g}",
            _spell_time(row["p50_seconds"]),
            _spell_time(row["p99_seconds"]),
            f"{100 * row['failed_share']:.1f} %" if row["failed"] else "",
            "-" if row["memory_bytes"] is None else spell_bytes(row["memory_bytes"]),
            "-" if row["workers"] is None else str(row["workers"]),
        )
        for row in report["versions"]
    ]
    rest = report["left_out"]
    if rest["versions"]:
        rows.append((f"{rest['versions']} more", "", f"{rest['requests_per_second']:g}", "", "", "", "", ""))
    return rows


def _left_out(rest: Sequence[Traffic], seconds: float) -> dict[str, Any]:
    return {"versions": len(rest), "requests_per_second": _rate(sum(one.answers for one in rest), seconds)}


def _rate(count: float, seconds: float) -> float:
    return round(count / max(seconds, 1e-9), 1)


def _spell_time(seconds: float | None) -> str:
    return "-" if seconds is None else spell_seconds(seconds)


def _draw_for_ever(watcher: Watcher, address: str, interval: float) -> None:
    from rich.console import Console
    from rich.live import Live

    with Live(_picture([f"{address}  looking ..."]), console=Console(highlight=False), auto_refresh=False) as live:
        while True:
            time.sleep(interval)
            try:
                report = watcher.look()
            except ClientError as error:
                if not is_passing(error):
                    raise
                live.update(_picture([str(error)]), refresh=True)
                continue
            if report is not None:
                table = align([COLUMNS, *table_rows(report)])
                live.update(_picture([*header_lines(report, address), "", *table]), refresh=True)


def _picture(lines: Sequence[str]) -> "RenderableType":
    from rich.text import Text

    return Text(plain("\n".join(lines)), no_wrap=True, overflow="ellipsis")
