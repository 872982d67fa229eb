"""Traces: what the time of single requests has gone to, sent to a collector by OpenTelemetry.

1. Off unless asked for: then nothing is imported, and nobody looks whether a request is to be traced.
2. A request is traced if its caller's ``traceparent`` says that the caller's trace is kept; one that comes without, by
   lot, as often as the share says. One that comes with a trace that is not kept is not traced.
3. Who is not traced pays one subtraction, alone or in a tick of sixty. Who is, is answered like everybody else: spans
   are made afterwards, out of the moments that the metrics are made of (``gateway.phases``).
4. Spans are sent by a thread, which belongs to the process that it was started in: this is opened in a worker, not
   before it is forked. Where the collector does not keep up, spans are lost, and nothing waits.
5. Which collector, with what headers and in what resource: the library's own variables (``OTEL_*``) say.

The library is an optional extra (``sardonyx[traces]``), and only this module knows it.
"""

import math
import os
import random
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Final, TypeAlias

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.phases import Phase

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import SpanExporter

Attributes: TypeAlias = Mapping[str, str | int]

_PARENT: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})", re.ASCII)
_LONGEST_STATE_BYTES: Final = 512
_CLOSING_SECONDS: Final = 3.0
_NANO: Final = 1e9
_EXTRA: Final = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")
_NAME: Final = "sardonyx"
_NAMELESS: Final = "unknown_service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One request that has ended, as a trace shows it; moments are in monotonic seconds."""

    name: str
    attributes: Attributes
    is_failed: bool
    """True if the failure was ours."""
    started: float
    ended: float
    phases: Iterable[tuple[Phase, float, float]]
    """What it was at, from when to when."""
    headers: Mapping[bytes, bytes]
    """In which its caller may have named a trace."""


def can_trace(modules: Iterable[str] = _EXTRA) -> bool:
    """Return whether the extra is installed, that is all of these modules."""
    try:
        return all(find_spec(name) is not None for name in modules)
    except ModuleNotFoundError:  # a package above is missing
        return False


def current_trace_id() -> str | None:
    """Return the trace that the running code belongs to, if it is kept."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.trace_flags.sampled else None


class Traces:
    """Chooses requests and tells of them; belongs to one event loop.

    Args:
        share: of the requests that come without a trace of their own, how many are traced; more than 0.
        exporter: sends spans; None for OTLP over HTTP.
    """

    def __init__(self, share: float, exporter: "SpanExporter | None" = None) -> None:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, TraceIdRatioBased

        self._share = share
        self._left = self._draw()
        self._processor = BatchSpanProcessor(exporter or _make_exporter())
        resource = _resource()
        chosen = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        self._others = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(share)), resource=resource, shutdown_on_exit=False
        )
        for provider in (chosen, self._others):
            provider.add_span_processor(self._processor)
        self._tracer = chosen.get_tracer(_NAME)
        self._propagator = TraceContextTextMapPropagator()

    def use_for_frameworks(self) -> None:
        """Let whatever else of this process makes spans (the control plane's framework) send them the same way."""
        trace.set_tracer_provider(self._others)

    def chooses(self, headers: Mapping[bytes, bytes]) -> bool:
        """Return whether a request with these headers is to be traced."""
        told = headers.get(b"traceparent")
        match = None if told is None else _PARENT.fullmatch(told)
        if match is None:
            return bool(self.choose(1))
        return bool(int(match[1], 16) & 1)

    def choose(self, count: int) -> list[int]:
        """Return which of so many requests without a trace of their own are to be traced, by their places."""
        self._left -= count
        chosen = []
        while self._left < 0:
            chosen.append(count + self._left)
            self._left += 1 + self._draw()
        return chosen

    def record(self, told: Told) -> str:
        """Tell of a request, and return the id of its trace."""
        now, now_ns = monotonic(), time_ns()

        def wall(moment: float) -> int:
            return now_ns - round((now - moment) * _NANO)

        context = self._propagator.extract(_carrier(told.headers), context=Context())
        span = self._tracer.start_span(
            told.name,
            context=context,
            kind=trace.SpanKind.SERVER,
            attributes=told.attributes,
            start_time=wall(told.started),
        )
        inside = trace.set_span_in_context(span, context)
        for phase, began, ended in told.phases:
            self._tracer.start_span(str(phase), context=inside, start_time=wall(began)).end(wall(ended))
        if told.is_failed:
            span.set_status(trace.StatusCode.ERROR)
        span.end(wall(told.ended))
        return trace.format_trace_id(span.get_span_context().trace_id)

    def close(self) -> None:
        """Send what is left, if that can be done in a moment; blocks for so long, whatever the collector does."""
        ending = threading.Thread(target=self._end, name="end-traces", daemon=True)  # the library keeps no limit
        ending.start()
        ending.join(_CLOSING_SECONDS)

    def _end(self) -> None:
        self._processor.force_flush()
        self._processor.shutdown()  # type: ignore[no-untyped-call]

    def _draw(self) -> int:
        """Return how many requests pass until one is chosen."""
        if self._share >= 1:
            return 0
        return int(math.log(1.0 - random.random()) / math.log1p(-self._share))  # noqa: S311 - no secret


def _make_exporter() -> "SpanExporter":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _resource() -> "Resource":
    from opentelemetry.sdk.resources import Resource

    found = Resource.create({"process.pid": os.getpid()})
    is_named = not str(found.attributes.get("service.name", _NAMELESS)).startswith(_NAMELESS)
    return found if is_named else found.merge(Resource({"service.name": _NAME}))


def _carrier(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return what the headers say of a trace, as the library reads it."""
    told = headers.get(b"traceparent", b"")
    if _PARENT.fullmatch(told) is None:
        return {}
    state = headers.get(b"tracestate", b"")[:_LONGEST_STATE_BYTES].decode("latin-1")
    return {"traceparent": told.decode(), "tracestate": state}
