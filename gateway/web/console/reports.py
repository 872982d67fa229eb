"""What inspection has found out about a version, in sentences."""

from collections.abc import Iterator, Mapping
from typing import Final

from registry.batching import Batching, BatchReport, Level
from registry.records import Version
from registry.threads import MOST_THREADS, ThreadReport

_LICENCE_WORDS: Final = ("license", "licence")

_ACCEPTS: Final[Mapping[Batching, str]] = {
    Batching.EXACT: "Requests share a run only where each answer keeps every bit that it has alone.",
    Batching.STABLE: "Requests share a run where an answer has the same bits in every company, if not those of a run "
    "alone.",
    Batching.CLOSE: "Requests share a run where answers stay within the tolerance.",
    Batching.OFF: "Requests never share a run: its owner has switched that off.",
}

_SHOWN: Final[Mapping[Level, str]] = {
    Level.EXACT: "Tried: each row has the same bits in every company as alone.",
    Level.STABLE: "Tried: rows have the same bits in every batch of two or more, but other ones alone.",
    Level.CLOSE: "Tried: rows differ a little with their company, by {difference:g} at most.",
    Level.NONE: "Tried: rows cannot share a run.",
}


def batching_sentences(version: Version) -> list[str]:
    """Return what its owner accepts when requests share a run, and what trying that has shown."""
    report = version.inspection.batch
    shown = ["It was not tried on this model."] if report is None else list(_of_batches(report))
    return [_ACCEPTS[version.batching], *shown]


def _of_batches(report: BatchReport) -> Iterator[str]:
    yield _SHOWN[report.level].format(difference=report.largest_difference)
    if report.reason:
        yield f"Why no more: {report.reason}."
    if report.level is Level.NONE:
        return
    rows = report.worthwhile_rows
    gain = report.gain(rows)
    if rows == 1:
        yield "It would not pay: rows take as long together as one by one."
    elif gain is not None:
        yield f"Up to {rows} rows pay, with {gain:.1f} times as many rows a second as one by one."


def thread_sentences(report: ThreadReport | None) -> list[str]:
    """Return how many threads its runs may have, and why."""
    if report is None:
        return ["Runs have one thread: more were not tried, since runs are short, or the model was inspected earlier."]
    count = report.worthwhile_threads(MOST_THREADS)
    if count == 1:
        return ["Runs have one thread.", *([f"Why no more: {report.reason}."] if report.reason else [])]
    gain = report.gain(count) or 0.0
    tried = f"{len(report.shapes)} tried shape{'s' * (len(report.shapes) != 1)}"
    paid = f"Runs in {tried} may have {count} threads where CPUs are free: {gain:.1f} times shorter, and the same bits."
    return [paid, *([f"Why no more: {report.reason}."] if report.reason else [])]


def licences(version: Version) -> list[tuple[str, str]]:
    """Return what the model's own metadata, or a tag, says of its licence; nothing where they say nothing."""
    said = {**version.inspection.metadata, **version.tags}
    return sorted((key, text) for key, text in said.items() if any(word in key.lower() for word in _LICENCE_WORDS))
