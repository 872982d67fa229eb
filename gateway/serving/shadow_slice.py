"""Running copies of live requests by a shadow, for a moment, and comparing its answers."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from gateway.serving.batching import Feed
from gateway.serving.isolated import AnySession
from gateway.serving.runtime import Array, Cancellation, DisplacedError
from registry.errors import InternalError, ServiceError
from registry.records import Version
from registry.shadow import OutputDifference, ShadowReport, compare_output

_SLICE_SECONDS: Final = 0.0005


@dataclass(frozen=True, slots=True)
class Sample:
    """One request and its live answer."""

    candidate: Version
    """Who is to answer it, too."""
    feed: Feed
    answers: Mapping[str, Array]
    size_bytes: int
    taken_at: float


@dataclass(slots=True)
class Slice:
    """Some samples of one trial, and what has come of them when ``run`` returns; what is left stays in ``samples``."""

    session: AnySession
    samples: deque[Sample]
    report: ShadowReport = field(default_factory=ShadowReport)
    clock: Callable[[], float] = time.monotonic
    cancellation: Cancellation = field(default_factory=Cancellation)

    def run(self) -> None:
        """Compare until the time of a slice is over."""
        until = self.clock() + _SLICE_SECONDS
        while self.samples:
            sample = self.samples.popleft()
            try:
                found = self._compare(sample)
            except DisplacedError:
                return  # it is loaded anew, elsewhere, for those that come
            except ServiceError as error:
                found = ShadowReport(failures={error.code: 1})
            except Exception as error:  # noqa: BLE001 - our own mistake about one sample is none about the others
                structlog.get_logger().error("shadow_failed", model=sample.candidate.model, exc_info=error)
                found = ShadowReport(failures={InternalError.code: 1})
            self.report = self.report.plus(found)
            if self.clock() > until:
                return

    def _compare(self, sample: Sample) -> ShadowReport:
        has = {spec.name for spec in sample.candidate.signature.outputs}
        names = [name for name in sample.answers if name in has]
        arrays = self.session.run(names, sample.feed, self.cancellation) if names else []
        outputs = dict.fromkeys(sample.answers, OutputDifference(compared=1, incomparable=1))
        for name, array in zip(names, arrays, strict=True):
            outputs[name] = compare_output(sample.answers[name], array)
        return ShadowReport(compared=1, outputs=outputs)
