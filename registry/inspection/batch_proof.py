"""Whether a model's rows can share a run, found out by trying (``registry.batching``).

1. Rows run alone first, one of them twice: a model that answers differently each time can prove nothing.
2. Then they run together, in every number up to ``MAX_ROWS`` that time allows, each time other rows in another order:
   whatever mixes rows, by a softmax, a sum or a sort over them, shows in some row's bits. An infinite row is among
   them, which no mean or maximum hides.
3. Time is bounded: what has not been tried when it is over counts as not proven. One run may still take long; whoever
   calls watches over that.
4. The gain is timed last, in turns, so that what else the machine does hits all numbers of rows alike.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Any, Final, TypeAlias

import numpy as np

from registry.batching import MAX_ROWS, BatchReport, Level, Shapes
from registry.inspection.batch_rows import RANGES, Rows, inner_probes, make_rows, row_axis_fault
from registry.inspection.probes import Feed, Probe
from registry.same_answers import compare
from registry.signature import Signature

Answers: TypeAlias = Sequence[Any]
Run: TypeAlias = Callable[[Feed], Answers | None]
"""Runs the model; None if it does not accept the inputs."""

TRYING_SECONDS: Final = 2.0
TIMING_SECONDS: Final = 1.0

_FEWEST_ROWS = 4
_TIMED_ROUNDS = 7


class _Unproven(Exception):  # noqa: N818 - no error: the level is none
    """Why nothing could be proven."""


class _Undecided(Exception):  # noqa: N818 - as above
    """A run was refused, or ended since time was up: nothing is shown, and nothing contradicted."""


def prove(run: Run, signature: Signature, accepted: Probe, host: str) -> BatchReport:
    """Return what trying has shown.

    Args:
        run: of one session, always the same.
        signature: the model's.
        accepted: made-up inputs that the model takes.
        host: ``registry.inspection.host.host_key``.
    """
    findings = _Findings()
    run_seconds: dict[int, float] = {}
    shapes: list[Shapes] = []
    try:
        probes = _probes(signature, accepted)
        for probe in probes:
            tried = _try_shape(run, signature, probe, findings, TRYING_SECONDS / len(probes))
            if tried is not None:
                shapes.append(tried.shapes)
                run_seconds = run_seconds or _time(run, tried, findings.rows)
        level, reason = findings.conclude(len(shapes))
    except _Unproven as why:
        level, reason, shapes, run_seconds = Level.NONE, str(why), [], {}
    return BatchReport(
        level=level,
        reason=reason,
        host=host,
        rows=findings.rows if shapes else 1,
        shapes=tuple(shapes),
        largest_difference=findings.largest_difference,
        run_seconds=run_seconds,
    )


def challenge(run: Run, examples: Sequence[Rows], seconds: float) -> Level:
    """Return what rows that somebody has given show, alone and among each other; exact if they contradict nothing.

    Args:
        run: as of ``prove``.
        examples: rows, two at least of each inner shape, none of them special.
        seconds: for all of them.
    """
    findings = _Findings()
    deadline = time.perf_counter() + seconds

    def run_surely(feed: Feed) -> Answers:
        answers = run(feed)
        if answers is None:
            raise _Undecided
        return answers

    try:
        for rows in examples:
            alone = _run_alone(run_surely, rows, deadline)
            if len(alone) > 1:
                _check_repeatable(run_surely, rows, alone)
                _try_together(run_surely, rows, alone, findings, deadline)
    except _Undecided:
        return Level.EXACT
    except _Unproven:
        return Level.NONE
    if findings.is_exact:
        return Level.EXACT
    return Level.STABLE if findings.is_stable else Level.CLOSE


@dataclass(slots=True)
class _Findings:
    """What the trials of all inner shapes have come to."""

    is_exact: bool = True
    is_stable: bool = True
    largest_difference: float = 0.0
    rows: int = MAX_ROWS
    together: dict[tuple[Shapes, int], Answers] = field(default_factory=dict)
    """What a row gave when it first was in company."""

    def note(self, shapes: Shapes, place: int, alone: Answers, among: Answers, company: int) -> None:
        """Compare one row's answer alone with the one that it got among others."""
        match = compare(alone, among)
        if not match.is_close:
            raise _Unproven(f"rows influence each other: in a run of {company} a row's answer is another than alone")
        self.is_exact &= match.is_same
        self.largest_difference = max(self.largest_difference, match.difference)
        first = self.together.setdefault((shapes, place), among)
        self.is_stable &= compare(first, among).is_same

    def conclude(self, shape_count: int) -> tuple[Level, str]:
        """Return the level, and why it is no stronger."""
        if not shape_count:
            return Level.NONE, "no varied rows are accepted, or they are too large to be tried"
        if self.rows < 2:  # noqa: PLR2004 - two is company
            return Level.NONE, "a run takes too long to try it"
        if self.is_exact:
            return Level.EXACT, ""
        how = f"a row's answer differs by up to {self.largest_difference:.1e}"
        if self.is_stable:
            return Level.STABLE, f"{how} between running alone and in company, whatever the company"
        return Level.CLOSE, f"{how} with the number of rows in a run"


def _probes(signature: Signature, accepted: Probe) -> list[Probe]:
    fault = row_axis_fault(signature)
    if fault:
        raise _Unproven(fault)
    return list(inner_probes(signature, accepted))


def _try_shape(run: Run, signature: Signature, probe: Probe, findings: _Findings, seconds: float) -> Rows | None:
    """Try one inner shape, and return the rows that it was tried with; None if the model does not take it."""
    deadline = time.perf_counter() + seconds
    for integers in RANGES:
        rows = make_rows(signature, probe, MAX_ROWS, integers)
        if rows is None:
            return None
        alone = _run_alone(run, rows, time.perf_counter() + seconds / 4)
        if len(alone) >= _FEWEST_ROWS:
            _check_repeatable(run, rows, alone)
            reached = _try_together(run, rows, alone, findings, deadline)
            findings.rows = min(findings.rows, reached)
            return rows
    return None


def _run_alone(run: Run, rows: Rows, deadline: float) -> dict[int, Answers]:
    """Return what each row gives alone, as far as time and the model allow; an ordinary and a special one in turns.

    Nothing is returned where ordinary rows are refused: their numbers are not what the model takes.
    """
    found: dict[int, Answers] = {}
    ordinary = [place for place in range(rows.count) if place not in rows.special]
    for place in chain.from_iterable(zip_longest(ordinary, rows.special)):
        if place is None:
            continue
        answers = run(rows.take([place]))
        if answers is not None:
            found[place] = answers
            _check_row_axis(answers, 1)
        elif place not in rows.special:
            return {}
        if time.perf_counter() > deadline and len(found) >= _FEWEST_ROWS:
            break
    return found


def _check_row_axis(answers: Answers, count: int) -> None:
    for answer in answers:
        if not isinstance(answer, np.ndarray) or answer.ndim == 0 or answer.shape[0] != count:
            raise _Unproven("an output has not one row for each row of the inputs")


def _check_repeatable(run: Run, rows: Rows, alone: dict[int, Answers]) -> None:
    for place in list(alone)[:2]:
        again = run(rows.take([place]))
        if again is None or not compare(alone[place], again).is_same:
            raise _Unproven("the model answers differently each time")


def _try_together(run: Run, rows: Rows, alone: dict[int, Answers], findings: _Findings, deadline: float) -> int:
    """Run rows together in growing numbers, twice over; return up to which number all have been tried."""
    reached = 1
    for count, places in _companies(sorted(alone)):
        if time.perf_counter() > deadline:
            break
        answers = run(rows.take(places))
        if answers is None and reached < count:
            if count == 2:  # noqa: PLR2004 - the first company
                raise _Unproven("the model does not take two rows")
            break
        if answers is None:
            raise _Unproven(f"the model does not always take {count} rows")
        _check_row_axis(answers, count)
        for position, place in enumerate(places):
            among = [answer[position : position + 1] for answer in answers]
            findings.note(rows.shapes, place, alone[place], among, count)
        reached = max(reached, count)
    return reached


def _companies(places: list[int]) -> Iterator[tuple[int, list[int]]]:
    """Yield numbers of rows with that many places, drawn anew each time; the same row may come twice."""
    random = np.random.default_rng(len(places))
    for _ in range(2):
        for count in range(2, MAX_ROWS + 1):
            drawn = [*random.permutation(places), *random.choice(places, max(0, count - len(places)))]
            yield count, [int(place) for place in drawn[:count]]


def _time(run: Run, rows: Rows, most: int) -> dict[int, float]:
    """Return the best time of runs of 1, 2, 4 ... rows, each tried in turn."""
    feeds = {count: rows.take(range(count)) for count in _powers_of_two(most)}
    best: dict[int, float] = {}
    deadline = time.perf_counter() + TIMING_SECONDS
    for _ in range(_TIMED_ROUNDS):
        for count, feed in feeds.items():
            began = time.perf_counter()
            if count in best and began > deadline:
                return best
            if run(feed) is None:
                continue
            took = time.perf_counter() - began
            best[count] = min(best.get(count, took), took)
    return best


def _powers_of_two(most: int) -> Iterator[int]:
    count = 1
    while count <= most:
        yield count
        count *= 2
