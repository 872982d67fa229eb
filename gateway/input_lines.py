"""What requests bring to each version, in Prometheus's form: of each input, never of each column.

Only versions that were looked at are there, and of them only inputs of which something may be told
(``gateway.input_board``). Counters only grow: of texts, those count that were unseen when they came.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Final

from gateway.exposition import heading, label_text, sample
from gateway.input_board import Found
from gateway.input_findings import ColumnFound, gather
from registry.input_statistics import greatest_shift

_LOOKED_AT: Final = "sardonyx_input_looked_at_requests_total"
_SKIPPED: Final = "sardonyx_input_skipped_requests_total"
_COUNTERS: Final = {
    "sardonyx_input_requests_total": "Requests that have brought an input, of those whose values are summed up",
    "sardonyx_input_values_total": "Values of an input that are summed up: a sample of what came",
    "sardonyx_input_nan_values_total": "Of these values, those that are NaN",
    "sardonyx_input_unseen_strings_total": "Of these values, texts that were in none of the version's examples",
}
_SHIFT: Final = "sardonyx_input_shift"
_SHIFT_WORDS: Final = (
    "How many of its examples' standard deviations an input's mean of the last hour or two lies beside theirs; of its "
    "columns the greatest"
)


def lines_of_inputs(found: Found, clock: Callable[[], float] = time.monotonic) -> Iterator[str]:
    """Yield the lines of all versions that were looked at.

    Args:
        found: what all boards have of each key, or of those that ``is_about_inputs``.
        clock: monotonic seconds.
    """
    versions = sorted(gather(found, clock()).items())
    looked_at = [(label_text({"model": model, "version": number}), each) for (model, number), each in versions]
    yield heading(_LOOKED_AT, "counter", "Requests of a version whose inputs were looked at")
    yield from (sample(_LOOKED_AT, labels, each.looked_at) for labels, each in looked_at)
    yield heading(_SKIPPED, "counter", "Requests of a version that came in too quick a succession to be looked at")
    yield from (sample(_SKIPPED, labels, each.skipped) for labels, each in looked_at)
    inputs: list[tuple[str, list[ColumnFound]]] = []
    for (model, number), each in versions:
        columns: defaultdict[str, list[ColumnFound]] = defaultdict(list)
        for (name, _), column in sorted(each.columns.items()):
            if column.live.requests:
                columns[name].append(column)
        inputs += [(label_text({"model": model, "version": number, "input": name}), columns[name]) for name in columns]
    counts = [(labels, _counts_of(of_input)) for labels, of_input in inputs]
    for place, (name, words) in enumerate(_COUNTERS.items()):
        yield heading(name, "counter", words)
        yield from (sample(name, labels, values[place]) for labels, values in counts)
    yield heading(_SHIFT, "gauge", _SHIFT_WORDS)
    for labels, of_input in inputs:
        shift = greatest_shift([column.shift for column in of_input])
        if shift is not None:
            yield sample(_SHIFT, labels, shift)


def _counts_of(columns: list[ColumnFound]) -> tuple[int, int, int, int]:
    return (
        columns[0].live.requests,
        sum(column.live.count for column in columns),
        sum(column.live.nan for column in columns),
        sum(column.ever_unseen for column in columns),
    )
