"""Answers to the requests of a tick: written, counted and logged, those of one run together."""

from collections.abc import Callable, Sequence
from time import monotonic

from gateway.serving.runtime import Array
from gateway.telemetry import AccessLog
from gateway.web.asked import Asked
from gateway.web.company import Company
from gateway.web.endpoint import Endpoint
from gateway.web.exchange import Exchange, RequestIds
from gateway.web.heads import Head

Lines = tuple[int, bytes, bytes]
"""Status, headers as HTTP/1.1 writes them, body."""


class TickAnswers:
    """Gives each request its answer.

    Args:
        ids: where the requests' ids come from.
        log: the access log.
        refuse: makes the answer to a request that met an error.
        record: counts and logs such a request.
    """

    def __init__(
        self,
        ids: RequestIds,
        log: AccessLog,
        *,
        refuse: Callable[[Exchange, Exception], Lines],
        record: Callable[[Exchange], None],
    ) -> None:
        self._ids = ids
        self._log = log
        self._refuse = refuse
        self._record = record

    def give(self, asked: Asked, endpoint: Endpoint, payload: bytes) -> None:
        """Answer one request with the body of its answer."""
        if asked.head.has_id:
            self._give_identified(asked, payload)
            return
        request_id = self._ids.draw_bytes()
        begin = asked.connection.begin_answer(200)
        asked.connection.answer(
            b"%b%bcontent-length: %d\r\nx-request-id: %b\r\n\r\n%b"
            % (begin, endpoint.lines, len(payload), request_id, payload)
        )
        self._count(endpoint, asked.head, (request_id,), asked.started)

    def give_shares(self, company: Company, shares: list[list[Array]]) -> None:
        """Give each request its own rows."""
        endpoint, parts = company.endpoint, company.parts
        begin = parts[0].asked.connection.begin_answer(200) + endpoint.lines
        names = company.outputs or endpoint.output_names
        ids: dict[tuple[Head, float], list[bytes]] = {}
        payloads = None
        if not any(part.id is not None for part in parts):
            payloads = endpoint.codec.encode_together(names, shares)
        for place, part in enumerate(parts):
            asked = part.asked
            try:
                payload = (
                    payloads[place] if payloads else endpoint.codec.encode(names, shares[place], request_id=part.id)
                )
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
                self.refuse(asked, error)
                continue
            if asked.head.has_id:
                self._give_identified(asked, payload)
                continue
            request_id = self._ids.draw_bytes()
            asked.connection.answer(
                b"%bcontent-length: %d\r\nx-request-id: %b\r\n\r\n%b" % (begin, len(payload), request_id, payload)
            )
            ids.setdefault((asked.head, asked.started), []).append(request_id)
        for (head, started), answered in ids.items():
            self._count(endpoint, head, answered, started)

    def _count(self, endpoint: Endpoint, head: Head, ids: Sequence[bytes], started: float) -> None:
        seconds = monotonic() - started
        endpoint.counts.add("ok", seconds, len(ids))
        if self._log.is_on:
            self._log.add_alike(head.log_line(endpoint), ids, seconds)

    def _give_identified(self, asked: Asked, payload: bytes) -> None:
        """Answer a request that has an id of its client's own."""
        exchange = self._exchange(asked)
        lines = b"content-length: %d\r\nx-request-id: %b\r\n" % (len(payload), exchange.request_id.encode())
        endpoint = asked.endpoint
        assert endpoint is not None  # noqa: S101 - it has run
        self._write(asked, (200, endpoint.lines + lines, payload))
        self._record(exchange)

    def refuse(self, asked: Asked, error: Exception) -> None:
        """Tell a caller what went wrong, as the ordinary way would."""
        exchange = self._exchange(asked)
        self._write(asked, self._refuse(exchange, error))
        self._record(exchange)

    def drop(self, asked: Asked) -> None:
        """Take note that nobody waits for the answer any more."""
        asked.is_taken = True
        exchange = self._exchange(asked)
        exchange.give_up()
        self._record(exchange)

    def _write(self, asked: Asked, lines: Lines) -> None:
        status, headers, body = lines
        asked.connection.answer(b"%b%b\r\n%b" % (asked.connection.begin_answer(status), headers, body))

    def _exchange(self, asked: Asked) -> Exchange:
        head = asked.head
        exchange = Exchange("POST", head.path, head.headers, self._ids.draw(), started=asked.started)
        exchange.target = head.target
        exchange.caller = head.caller
        exchange.endpoint = asked.endpoint
        exchange.is_body_read = True
        return exchange
