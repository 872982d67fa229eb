"""Whether several threads make a model's runs shorter and leave every bit as it is (``registry.threads``).

1. Only shapes whose run is long with one thread are tried: waking a thread costs what it could bring to a short run.
2. Every answer with several threads is compared, bit for bit, with that of one thread in the same shape; those of the
   timed runs, too. The inputs are noise, which no order of summing leaves as it is.
3. How work is divided follows from shapes and not from values, and only then does a trial hold for other values. So
   only graphs are tried that are made of operators known for that, from floats to floats (``thread_obstacles``):
   whatever rounds, compares or chooses hides a last bit that differs, and what takes a size from its inputs has other
   shapes inside.
4. Numbers are tried doubling. The first that differs ends the trial: so may all above it.
5. Times are taken in the largest shape, and in turns, so that what else the machine does hits both alike; the best
   counts.
6. Time is bounded: what has not been tried when it is over counts as not usable. One run, or one load, may still take
   long; whoever calls watches over that.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, Final, TypeAlias

import numpy as np

from registry.inspection.host import can_start_threads
from registry.inspection.probes import Feed, Probe
from registry.same_answers import SAME, compare
from registry.signature import Signature
from registry.threads import MOST_THREADS, ThreadReport, WholeShapes, one_thread

Answers: TypeAlias = Sequence[Any]
Run: TypeAlias = Callable[[Feed], Answers | None]
"""Runs the model; None if it does not accept the inputs."""

LONG_SECONDS: Final = 0.01
ALONE_SECONDS: Final = 0.6
"""For all runs with one thread that others are compared with."""
TRYING_SECONDS: Final = 2.5
"""After them."""
TIMING_SECONDS: Final = 1.5
"""Of these, for runs that are timed."""
MOST_SECONDS: Final = 8.0
"""For all together, whatever they do."""

_LONGEST_SECONDS = 0.3
"""Beside the shortest, no shape is tried whose run is expected to take longer."""
_TIMED_ROUNDS = 5
_ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 16, 32)
_LENGTHS = (16, 32, 64, 128, 224, 256, 384, 512, 640)
_SEED = 20_250_314


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What is tried, and how it is run."""

    signature: Signature
    alone: Run
    """In one session with one thread, always the same."""
    load: Callable[[int], Run | None]
    """Makes a session with so many threads; None where there cannot be one."""
    clock: Callable[[], float] = time.perf_counter


def try_threads(model: Model, probes: Sequence[Probe], *, cpus: int, host: str) -> ThreadReport:
    """Return what trying has shown.

    Args:
        model: one that takes some of the probes.
        probes: made-up inputs.
        cpus: that may be kept busy.
        host: ``registry.inspection.host.host_key``.
    """
    most = min(cpus, MOST_THREADS)
    if most < 2:  # noqa: PLR2004 - one is no company
        return one_thread(host, "only one CPU is usable where it was tried")
    known = list(_run_alone(model, probes))
    if not known:
        return one_thread(host, "its runs are short")
    if not _is_same(known[0].answers, model.alone(known[0].feed)):
        return one_thread(host, "the model answers differently each time")
    run_seconds, reason = _try_numbers(model, known, most)
    if len(run_seconds) < 2:  # noqa: PLR2004 - as above
        return one_thread(host, reason)
    return ThreadReport(host=host, reason=reason, shapes=tuple(one.shapes for one in known), run_seconds=run_seconds)


def varied_probes(accepted: Probe) -> Iterator[Probe]:
    """Yield probes like an accepted one, of several numbers of rows and, for one row or few, several lengths."""
    for first in dict.fromkeys((accepted.first, *_ROWS)):
        yield replace(accepted, first=first)
    for rest in _LENGTHS:
        for first in dict.fromkeys((accepted.first, 1, 2)):
            yield replace(accepted, first=first, rest=rest)


class _Unusable(Exception):  # noqa: N818 - no error: fewer threads are used
    """What is wrong with a number of threads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A long run with one thread."""

    feed: Feed
    answers: Answers
    seconds: float

    @property
    def shapes(self) -> WholeShapes:
        return tuple(tuple(map(int, tensor.shape)) for tensor in self.feed.values())


def _growing(signature: Signature, probes: Sequence[Probe]) -> list[tuple[int, Probe]]:
    """Return the probes that have shapes of their own, in growing order, with their elements; feeds are large."""
    sizes: dict[WholeShapes, tuple[int, Probe]] = {}
    for probe in probes:
        feed = probe.feed(signature)
        if feed is not None:
            shapes = tuple(tensor.shape for tensor in feed.values())
            sizes.setdefault(shapes, (sum(tensor.size for tensor in feed.values()), probe))
    return sorted(sizes.values(), key=itemgetter(0))


def _make_noise(signature: Signature, probe: Probe) -> Feed:
    random = np.random.default_rng(_SEED)
    return {name: _noise(tensor, random) for name, tensor in (probe.feed(signature) or {}).items()}


def _noise(tensor: Any, random: Any) -> Any:
    return random.standard_normal(tensor.shape).astype(tensor.dtype) if tensor.dtype.kind == "f" else tensor


def _run_alone(model: Model, probes: Sequence[Probe]) -> Iterator[_Known]:
    growing = _growing(model.signature, probes)  # making large feeds takes time, too
    deadline = model.clock() + ALONE_SECONDS
    seconds, before = 0.0, 1
    for elements, probe in growing:
        if model.clock() > deadline or seconds * elements / before > _LONGEST_SECONDS:
            return
        feed = _make_noise(model.signature, probe)
        began = model.clock()
        answers = model.alone(feed)
        if answers is None:
            continue
        seconds, before = model.clock() - began, max(1, elements)
        if seconds >= LONG_SECONDS:
            yield _Known(feed=feed, answers=answers, seconds=seconds)


def _try_numbers(model: Model, known: Sequence[_Known], most: int) -> tuple[dict[int, float], str]:
    """Return the best time with each usable number of threads, and why there are no more."""
    run_seconds: dict[int, float] = {1: known[-1].seconds}
    counts = [1 << power for power in range(1, most.bit_length())]
    deadline = model.clock() + TRYING_SECONDS
    for count in counts:
        if count > 2 and model.clock() > deadline:  # noqa: PLR2004 - two are tried in any case
            return run_seconds, f"no time was left to try {count} threads"
        run = model.load(count) if can_start_threads(count) else None
        if run is None:
            return run_seconds, f"a session with {count} threads cannot be made where it was tried"
        try:
            _compare(run, known)
            best = _time(model, run, known[-1], TIMING_SECONDS / len(counts))
        except _Unusable as why:
            return run_seconds, f"{why} with {count} threads"
        run_seconds = {**run_seconds, 1: min(run_seconds[1], best[0]), count: best[1]}
    return run_seconds, ""


def _compare(run: Run, known: Sequence[_Known]) -> None:
    for one in known:
        _check(one, run(one.feed))


def _check(known: _Known, answers: Answers | None) -> None:
    if answers is None:
        raise _Unusable("a run fails, or takes too long,")
    if not _is_same(known.answers, answers):
        raise _Unusable("an answer has other bits")


def _time(model: Model, run: Run, known: _Known, seconds: float) -> tuple[float, float]:
    """Return the best times with one thread and with several."""
    best = [np.inf, np.inf]
    deadline = model.clock() + seconds
    for round_ in range(_TIMED_ROUNDS):
        if round_ and model.clock() > deadline:
            break
        for place, candidate in enumerate((model.alone, run)):
            began = model.clock()
            answers = candidate(known.feed)
            best[place] = min(best[place], model.clock() - began)
            _check(known, answers)
    return best[0], best[1]


def _is_same(answers: Answers, others: Answers | None) -> bool:
    return others is not None and compare(answers, others) is SAME
