"""What may have happened, and what may not: outcomes in words, resets beside deaths, latencies, a gateway at rest.

1. An outcome is a status and the code of its problem, the status alone where all is well, or one of three words:
   ``reset`` (a connection that ended without an answer), ``closed`` (so did what was never a request), ``left``.
2. A reset that nobody allows is forgiven where a worker has died at that moment, and the request had begun before: the
   worker's death costs whatever it had under way. A death is noted when the supervisor sees it, a moment later.
3. Whatever was read at rest may have grown by a tenth, or by two where it is counted; memory by a megabyte in any case.
   It may be below: a worker that has been replaced is younger.
4. Good answers may take twice as long as in a quiet gateway, and are not blamed for less than ``SLOW_SECONDS``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from bench.open_loop import percentile
from bench.soak_balance import BYTES, SHARE, SLACK_BYTES, SLACK_COUNT

RESET, CLOSED, LEFT = "reset", "closed", "left"
SEEN_SECONDS = 2.0
"""Between the death of a worker and the line about it, at most; and between that line and the last client's notice."""
SLOW_SECONDS = 0.050
TIMES_QUIET = 2.0
LEAST_ANSWERS_PER_SECOND = 20.0
LEAST_GOOD_SHARE = 0.99


@dataclass(frozen=True, slots=True)
class Asked:
    """One good request: when it was due and over (seconds since the epoch), how long it took, what was wrong."""

    began: float
    ended: float
    latency: float
    fault: str = ""


def outcome_of(status: int, body: bytes) -> str:
    """Return the words for an answer, by rule 1."""
    if 200 <= status < 300:
        return str(status)
    try:
        return f"{status} {orjson.loads(body)['code']}"
    except (ValueError, KeyError, TypeError):
        return f"{status} without a code"


def deaths_in(log: bytes) -> list[float]:
    """Return when workers died, by the lines of a gateway's log; a last line that is not complete is left out."""
    lines = log.rpartition(b"\n")[0].splitlines()
    died = (orjson.loads(line) for line in lines if b'"worker_died"' in line)
    return [datetime.fromisoformat(line["timestamp"]).timestamp() for line in died]


def is_forgiven(began: float, ended: float, deaths: Iterable[float]) -> bool:
    """Tell whether a reset is due to a death, by rule 2."""
    return any(began <= death and abs(ended - death) <= SEEN_SECONDS for death in deaths)


def unforgiven(asked: Iterable[Asked], deaths: Sequence[float]) -> list[Asked]:
    """Return the good requests that failed for no good reason."""
    return [
        each
        for each in asked
        if each.fault and not (each.fault == RESET and is_forgiven(each.began, each.ended, deaths))
    ]


def percentile_of(asked: Iterable[Asked], share: float) -> float:
    """Return a percentile of the latencies of right answers, in seconds."""
    return percentile(sorted(each.latency for each in asked if not each.fault), share)


def most_latency(quiet: float) -> float:
    """Return what the 99th percentile may be under attack, by rule 4."""
    return max(TIMES_QUIET * quiet, SLOW_SECONDS)


def is_back(measure: str, before: float, after: float) -> bool:
    """Tell whether what was read is where it was, by rule 3."""
    slack = SLACK_BYTES if measure.endswith(BYTES) else SLACK_COUNT
    return after <= max(before * SHARE, before + slack)


def has_held_out(good: int, bad: int, seconds: float) -> bool:
    """Tell whether the user of an attacked model was answered often enough, and rightly enough."""
    if not good or seconds <= 0:
        return False
    return good / seconds >= LEAST_ANSWERS_PER_SECOND and good / (good + bad) >= LEAST_GOOD_SHARE
