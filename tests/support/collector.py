"""A collector of traces: a real HTTP server that takes what OTLP over HTTP sends."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One that has been received; times are nanoseconds since 1970."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    began: int
    ended: int
    is_failed: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]


class Collector:
    """What has been received so far."""

    def __init__(self) -> None:
        self.url = ""
        self.headers: list[dict[str, str]] = []
        self._spans: list[Span] = []
        self._changing = threading.Lock()

    def take(self, payload: bytes, headers: dict[str, str]) -> None:
        """Take what one request has brought."""
        found = [
            _span(span, _values(batch.resource.attributes))
            for batch in ExportTraceServiceRequest.FromString(payload).resource_spans
            for scope in batch.scope_spans
            for span in scope.spans
        ]
        with self._changing:
            self.headers.append(headers)
            self._spans += found

    def spans(self, **attributes: object) -> list[Span]:
        """Return those with these attributes, dots written as double underscores."""
        wanted = {name.replace("__", "."): value for name, value in attributes.items()}
        with self._changing:
            return [span for span in self._spans if wanted.items() <= span.attributes.items()]

    def below(self, parent: Span) -> list[Span]:
        """Return the children of a span, in the order in which they began."""
        with self._changing:
            found = [span for span in self._spans if span.parent_id == parent.span_id]
        return sorted(found, key=lambda span: (span.began, span.ended))


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector on a free port of loopback."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            payload = self.rfile.read(int(self.headers["content-length"]))
            is_packed = self.headers.get("content-encoding") == "gzip"
            collector.take(gzip.decompress(payload) if is_packed else payload, dict(self.headers.items()))
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        collector.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def _span(span: Any, resource: dict[str, Any]) -> Span:
    return Span(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        began=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
        is_failed=span.status.code == 2,
        attributes=_values(span.attributes),
        resource=resource,
    )


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
