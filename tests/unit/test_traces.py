"""Which requests are traced, and what is sent of them."""

import threading
from collections.abc import Iterator, Sequence
from itertools import accumulate

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.phases import Phase
from gateway.traces import Told, Traces, can_trace

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def all_of_them(exporter: InMemorySpanExporter) -> Iterator[Traces]:
    traces = Traces(1.0, exporter)
    yield traces
    traces.close()


def with_parent(text: str) -> dict[bytes, bytes]:
    return {b"traceparent": text.encode()}


def told(**headers: bytes) -> Told:
    named = {name.encode(): value for name, value in headers.items()}
    spans = [(Phase.QUEUE, 10.0, 10.5), (Phase.RUN, 10.5, 12.0)]
    return Told(
        name="POST /", attributes={"a": 1}, is_failed=True, started=10.0, ended=12.0, phases=spans, headers=named
    )


def test_everybody_is_chosen_by_a_share_of_one(all_of_them: Traces) -> None:
    assert [all_of_them.choose(count) for count in (1, 3, 1)] == [[0], [0, 1, 2], [0]]


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
def test_as_many_are_chosen_as_the_share_says_alone_or_together(share: float) -> None:
    traces = Traces(share, InMemorySpanExporter())
    crowds = [1, 64, 16, 3] * 2_000
    chosen = [
        (begin, place)
        for begin, crowd in zip(accumulate(crowds), crowds, strict=True)
        for place in traces.choose(crowd)
    ]
    traces.close()
    assert len(set(chosen)) == len(chosen)
    assert abs(len(chosen) - share * sum(crowds)) < 6 * (share * sum(crowds)) ** 0.5


@pytest.mark.parametrize(
    ("text", "is_chosen"),
    [
        (f"00-{TRACE}-{PARENT}-01", True),
        (f"00-{TRACE}-{PARENT}-03", True),
        (f"00-{TRACE}-{PARENT}-00", False),
        (f"cc-{TRACE}-{PARENT}-00", False),
    ],
)
def test_a_callers_own_trace_decides(all_of_them: Traces, text: str, is_chosen: bool) -> None:  # noqa: FBT001 - a case
    assert all_of_them.chooses(with_parent(text)) is is_chosen


@pytest.mark.parametrize(
    "text", ["", "00", f"ff-{TRACE}-{PARENT}-00", f"00-{'0' * 32}-{PARENT}-00", f"00-{TRACE}-{PARENT}-00\n", "x" * 9000]
)
def test_what_is_no_parent_is_as_if_there_were_none(
    all_of_them: Traces, exporter: InMemorySpanExporter, text: str
) -> None:
    assert all_of_them.chooses(with_parent(text))
    all_of_them.record(told(traceparent=text.encode()))
    all_of_them.close()
    assert [span.parent for span in exporter.get_finished_spans() if span.name == "POST /"] == [None]


def test_a_request_is_told_of_with_the_times_that_it_had(all_of_them: Traces, exporter: InMemorySpanExporter) -> None:
    trace_id = all_of_them.record(told(traceparent=f"00-{TRACE}-{PARENT}-01".encode(), tracestate=b"v=1"))
    all_of_them.close()
    queue, run, whole = exporter.get_finished_spans()
    assert trace_id == TRACE
    assert [(span.name, (span.end_time or 0) - (span.start_time or 0)) for span in (queue, run, whole)] == [
        ("queue", 500_000_000),
        ("run", 1_500_000_000),
        ("POST /", 2_000_000_000),
    ]
    assert (whole.parent is not None and whole.parent.span_id, whole.status.is_ok) == (int(PARENT, 16), False)
    assert {span.parent.span_id for span in (queue, run) if span.parent} == {whole.context.span_id}


class _SilentCollector(SpanExporter):
    """Takes spans and never comes to an end with them, until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002 - the library's
        self.let_go.wait()
        return SpanExportResult.FAILURE


def test_a_collector_that_is_silent_holds_up_nobody_who_ends() -> None:
    collector = _SilentCollector()
    traces = Traces(1.0, collector)
    try:
        traces.record(told())
        traces.close()
        assert not collector.let_go.is_set()
    finally:
        collector.let_go.set()


def test_a_share_next_to_nothing_is_a_share() -> None:
    traces = Traces(1e-17, InMemorySpanExporter())
    chosen = traces.choose(1_000)
    traces.close()
    assert chosen == []


def test_without_the_extra_it_is_known_that_nothing_can_be_traced() -> None:
    assert can_trace()
    assert not can_trace(["opentelemetry.sdk.trace", "opentelemetry.no_such_package.trace"])
    assert not can_trace(["opentelemetry.no_such_module"])
