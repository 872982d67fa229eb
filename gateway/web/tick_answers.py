"""Answers to the requests of a tick: written, counted and logged, those of one run together."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from time import monotonic

from gateway.serving.batching import split
from gateway.serving.runtime import Array
from gateway.telemetry import AccessLog
from gateway.web.asked import Asked
from gateway.web.company import Company
from gateway.web.compression import LEAST_BYTES, MOST_BYTES_AT_ONCE, Coding, compress
from gateway.web.endpoint import Endpoint
from gateway.web.exchange import Exchange, RequestIds
from gateway.web.heads import Head
from gateway.web.problems import header_lines

Lines = tuple[int, bytes, bytes]
"""Status, headers as HTTP/1.1 writes them, body."""


class TickAnswers:
    """Gives each request its answer.

    Args:
        ids: where the requests' ids come from.
        log: the access log.
        compressing: where long answers are compressed.
        refuse: makes the answer to a request that met an error.
        record: counts and logs such a request.
    """

    def __init__(
        self,
        ids: RequestIds,
        log: AccessLog,
        compressing: Executor,
        *,
        refuse: Callable[[Exchange, Exception], Lines],
        record: Callable[[Exchange], None],
    ) -> None:
        self._ids = ids
        self._log = log
        self._compressing = compressing
        self._refuse = refuse
        self._record = record

    def give(self, asked: Asked, endpoint: Endpoint, payload: bytes) -> None:
        """Answer one request with the body of its answer."""
        head = asked.head
        if head.coding is not None and len(payload) >= LEAST_BYTES:
            self._give_compressed(asked, endpoint, payload, head.coding)
            return
        if head.has_id:
            self._give_identified(asked, endpoint, payload)
            return
        request_id = self._ids.draw_bytes()
        begin = asked.connection.begin_answer(200)
        asked.connection.answer(
            b"%b%bcontent-length: %d\r\nx-request-id: %b\r\n\r\n%b"
            % (begin, endpoint.lines, len(payload), request_id, payload)
        )
        self._count(endpoint, head, (request_id,), asked.started)

    def give_rows(self, company: Company, arrays: list[Array]) -> None:
        """Give each request its own rows of what they have run together."""
        endpoint = company.endpoint
        names = company.outputs or endpoint.output_names
        if len(company.asked) == 1:  # its answer may have any number of rows, or none
            self._give_share(company.asked[0], endpoint, names, arrays)
            return
        payloads = None if company.has_ids else endpoint.codec.encode_rows(names, arrays, company.counts)
        if payloads is None:
            for asked, share in zip(company.asked, split(arrays, company.counts), strict=True):
                self._give_share(asked, endpoint, names, share)
            return
        self._give_payloads(endpoint, company.asked, payloads)

    def _give_payloads(self, endpoint: Endpoint, callers: Sequence[Asked], payloads: Sequence[bytes]) -> None:
        """Answer some requests with the bodies of their answers, and count and log those alike together."""
        begin = callers[0].connection.begin_answer(200) + endpoint.lines
        alike: dict[tuple[Head, float], list[bytes]] = {}
        head, started, ids = None, 0.0, []
        for asked, payload in zip(callers, payloads, strict=True):
            if asked.head is not head or asked.started != started:
                head, started = asked.head, asked.started
                ids = alike.setdefault((head, started), [])
            if head.has_id or (head.coding is not None and len(payload) >= LEAST_BYTES):
                self.give(asked, endpoint, payload)
                continue
            request_id = self._ids.draw_bytes()
            ids.append(request_id)
            asked.connection.answer(
                b"%bcontent-length: %d\r\nx-request-id: %b\r\n\r\n%b" % (begin, len(payload), request_id, payload)
            )
        for (head, started), answered in alike.items():
            if answered:
                self._count(endpoint, head, answered, started)

    def _give_share(self, asked: Asked, endpoint: Endpoint, names: Sequence[str], share: list[Array]) -> None:
        request_id = None if asked.decoded is None else asked.decoded.id
        try:
            payload = endpoint.codec.encode(names, share, request_id=request_id)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
            self.refuse(asked, error)
        else:
            self.give(asked, endpoint, payload)

    def _count(self, endpoint: Endpoint, head: Head, ids: Sequence[bytes], started: float) -> None:
        seconds = monotonic() - started
        endpoint.counts.add("ok", seconds, len(ids))
        if self._log.is_on:
            self._log.add_alike(head.log_line(endpoint), ids, seconds)

    def _give_identified(self, asked: Asked, endpoint: Endpoint, payload: bytes, more: bytes = b"") -> None:
        """Answer a request by itself: one that has an id of its client's own, or more lines in its answer's head."""
        exchange = self._exchange(asked)
        lines = b"content-length: %d\r\nx-request-id: %b\r\n" % (len(payload), exchange.request_id.encode())
        self._write(asked, (200, endpoint.lines + more + lines, payload))
        self._record(exchange)

    # --- compressed ---------------------------------------------------------------------------------------------------

    def _give_compressed(self, asked: Asked, endpoint: Endpoint, payload: bytes, coding: Coding) -> None:
        if len(payload) <= MOST_BYTES_AT_ONCE:
            self._give_either(asked, endpoint, payload, compress(coding, payload), coding)
            return
        if not asked.connection.can_wait:  # and nobody else either
            self._give_identified(asked, endpoint, payload)
            return
        compressing = asyncio.get_running_loop().run_in_executor(self._compressing, compress, coding, payload)
        asked.is_waiting = False
        asked.connection.wait(partial(self.drop, asked))
        compressing.add_done_callback(partial(self._compressed, asked, endpoint, payload, coding))

    def _compressed(
        self,
        asked: Asked,
        endpoint: Endpoint,
        payload: bytes,
        coding: Coding,
        compressing: "asyncio.Future[bytes | None]",
    ) -> None:
        error = compressing.exception()
        if not asked.connection.waits_for(asked):
            return  # the caller has left
        if isinstance(error, Exception):
            self.refuse(asked, error)
        else:
            self._give_either(asked, endpoint, payload, compressing.result(), coding)

    def _give_either(
        self, asked: Asked, endpoint: Endpoint, payload: bytes, compressed: bytes | None, coding: Coding
    ) -> None:
        if compressed is None:
            self._give_identified(asked, endpoint, payload)
        else:
            self._give_identified(asked, endpoint, compressed, header_lines([coding.header]))

    def refuse(self, asked: Asked, error: Exception) -> None:
        """Tell a caller what went wrong, as the ordinary way would."""
        exchange = self._exchange(asked)
        self._write(asked, self._refuse(exchange, error))
        self._record(exchange)

    def drop(self, asked: Asked) -> None:
        """Take note that nobody waits for the answer any more."""
        asked.is_waiting = False
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
