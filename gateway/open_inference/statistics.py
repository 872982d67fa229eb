"""What versions have answered, in the form of Triton's statistics.

1. Counted is what came in by any protocol, on all workers of the host, since the gateway was started.
2. A request counts as one inference and one execution: whether it has shared a run is not told apart. How its time
   divides into waiting and computing is not measured, so those counts are 0.
"""

from collections.abc import Iterable
from typing import Any

from gateway.metrics import Answered

_NANOSECONDS = 1e9
_UNMEASURED = ("queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss")


def model_statistics(answered: Iterable[Answered]) -> dict[str, Any]:
    """Return the statistics of these versions."""
    return {"model_stats": [_of_version(one) for one in answered]}


def _of_version(answered: Answered) -> dict[str, Any]:
    good = answered.good
    return {
        "name": answered.model,
        "version": answered.version,
        "last_inference": 0,
        "inference_count": good,
        "execution_count": good,
        "inference_stats": {
            "success": _duration(good, answered.good_seconds),
            "fail": _duration(answered.failed, answered.failed_seconds),
            **{name: _duration(0, 0.0) for name in _UNMEASURED},
        },
        "batch_stats": [],
    }


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": round(max(0.0, seconds) * _NANOSECONDS)}
