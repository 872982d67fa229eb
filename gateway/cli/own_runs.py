"""What registration has found of a version's own runs, in words: rows that share them, and threads that they have."""

from collections.abc import Iterator, Mapping
from typing import Any


def own_run_facts(version: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what was found, as names and words: of ``batch_report`` and ``thread_report``, where they are there."""
    yield from _batching_facts(version.get("batch_report"))
    yield from _thread_facts(version.get("thread_report"))


def _batching_facts(report: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    """Spell what trying to run rows together has shown."""
    if report is None:
        yield "batches proven", "not tried"
        return
    yield "batches proven", report["level"] if not report["reason"] else f"{report['level']}: {report['reason']}"
    gains = ", ".join(f"{rows} rows x{gain:g}" for rows, gain in report["gains"].items() if rows != "1")
    if gains:
        yield "batches gain", gains


def _thread_facts(report: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    """Spell what trying to run with several threads has shown."""
    if report is None:
        yield "threads", "1: more were not tried"
        return
    yield "threads", f"{report['threads']}" + (f": {report['reason']}" if report["reason"] else "")
    gains = ", ".join(f"{count} threads x{gain:g}" for count, gain in report["gains"].items() if count != "1")
    if gains:
        yield "threads gain", gains
