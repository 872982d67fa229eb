"""Answers to the requests of a tick: written, counted and logged, those of one run together."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from time import monotonic
from typing import Protocol

from gateway.phases import Times
from gateway.serving.batching import split
from gateway.serving.runtime import Array
from gateway.telemetry import AccessLog
from gateway.traces import Traces
from gateway.web.asked import Asked
from gateway.web.company import Company
from gateway.web.compression import LEAST_BYTES, MOST_BYTES_AT_ONCE, Coding, compress
from gateway.web.endpoint import Endpoint
from gateway.web.exchange import Exchange, RequestIds
from gateway.web.heads import Head
from gateway.web.problems import header_lines

Lines = tuple[int, bytes, bytes]
"""Status, headers as HTTP/1.1 writes them, body."""


class Record(Protocol):
    """Counts and logs an exchange that has ended."""

    def __call__(self, exchange: Exchange, *, is_chosen: bool = False) -> None:
        """Do so, and tell of it in a trace if it ``is_chosen``."""
        ...


class TickAnswers:
    """Gives each request its answer.

    Args:
        ids: where the requests' ids come from.
        log: the access log.
        compressing: where long answers are compressed.
        refuse: makes the answer to a request that met an error.
        record: counts and logs such a request.
        traces: chooses who is told of in a trace, which ``record`` does as well; None where nobody is.
    """

    def __init__(
        self,
        ids: RequestIds,
        log: AccessLog,
        compressing: Executor,
        *,
        refuse: Callable[[Exchange, Exception], Lines],
        record: Record,
        traces: Traces | None,
    ) -> None:
        self._ids = ids
        self._log = log
        self._compressing = compressing
        self._refuse = refuse
        self._record = record
        self._traces = traces

    def give(self, asked: Asked, endpoint: Endpoint, payload: bytes, times: Times) -> None:
        """Answer one request with the body of its answer."""
        head = asked.head
        if head.coding is not None and len(payload) >= LEAST_BYTES:
            self._give_compressed(asked, endpoint, payload, times, coding=head.coding)
            return
        if head.has_id:
            self._give_identified(asked, endpoint, payload, times)
            return
        request_id = self._ids.draw_bytes()
        begin = asked.connection.begin_answer(200)
        asked.connection.answer(
            b"%b%bcontent-length: %d\r\nx-request-id: %b\r\n\r\n%b"
            % (begin, endpoint.lines, len(payload), request_id, payload)
        )
        self._count(endpoint, head, (request_id,), asked.started, times)

    def give_rows(self, company: Company, arrays: list[Array], times: Times) -> None:
        """Give each request its own rows of what they have run together."""
        endpoint = company.endpoint
        names = company.outputs or endpoint.output_names
        if len(company.asked) == 1:  # its answer may have any number of rows, or none
            self._give_share(company.asked[0], endpoint, names, arrays, times=times)
            return
        payloads = None if company.has_ids else endpoint.codec.encode_rows(names, arrays, company.counts)
        if payloads is None:
            for asked, share in zip(company.asked, split(arrays, company.counts), strict=True):
                self._give_share(asked, endpoint, names, share, times=times)
            return
        self._give_payloads(endpoint, company.asked, payloads, times)

    def _give_payloads(
        self, endpoint: Endpoint, callers: Sequence[Asked], payloads: Sequence[bytes], times: Times
    ) -> None:
        """Answer some requests with the bodies of their answers, and count and log those alike together."""
        staying = next((asked for asked in callers if not asked.connection.is_passing), callers[0])
        begin = staying.connection.begin_answer(200) + endpoint.lines
        alike: dict[tuple[Head, float], list[bytes]] = {}
        head, started, ids = None, 0.0, []
        for asked, payload in zip(callers, payloads, strict=True):
            if asked.head is not head or asked.started != started:
                head, started = asked.head, asked.started
                ids = alike.setdefault((head, started), [])
            is_large = head.coding is not None and len(payload) >= LEAST_BYTES
            if head.has_id or is_large or asked.connection.is_passing:
                self.give(asked, endpoint, payload, times)
                continue
            request_id = self._ids.draw_bytes()
            ids.append(request_id)
            asked.connection.answer(
                b"%bcontent-length: %d\r\nx-request-id: %b\r\n\r\n%b" % (begin, len(payload), request_id, payload)
            )
        for (head, started), answered in alike.items():
            if answered:
                self._count(endpoint, head, answered, started, times)

    def _give_share(
        self, asked: Asked, endpoint: Endpoint, names: Sequence[str], share: list[Array], *, times: Times
    ) -> None:
        request_id = None if asked.decoded is None else asked.decoded.id
        try:
            payload = endpoint.codec.encode(names, share, request_id=request_id)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
            self.refuse(asked, error)
        else:
            self.give(asked, endpoint, payload, times)

    def _count(self, endpoint: Endpoint, head: Head, ids: Sequence[bytes], started: float, times: Times) -> None:
        if self._traces is not None:
            ids = self._count_traced(self._traces, endpoint, head, ids, started=started, times=times)
        ended = monotonic()
        seconds, count = ended - started, len(ids)
        endpoint.counts.add("ok", seconds, count)
        endpoint.phases.add(started, times, ended, count=count)
        if self._log.is_on:
            self._log.add_alike(head.log_line(endpoint), ids, seconds)

    def _count_traced(
        self, traces: Traces, endpoint: Endpoint, head: Head, ids: Sequence[bytes], *, started: float, times: Times
    ) -> Sequence[bytes]:
        """Count those by themselves of which a trace is to tell, and return the others."""
        if b"traceparent" in head.headers:
            chosen = [place for place in range(len(ids)) if traces.chooses(head.headers)]
        else:
            chosen = traces.choose(len(ids))
        if not chosen:
            return ids
        for place in chosen:
            exchange = _exchange(head, endpoint, ids[place].decode(), started)
            exchange.moments.times = times
            self._record(exchange, is_chosen=True)
        return [request_id for place, request_id in enumerate(ids) if place not in set(chosen)]

    def _give_identified(
        self, asked: Asked, endpoint: Endpoint, payload: bytes, times: Times, more: bytes = b""
    ) -> None:
        """Answer a request by itself: one that has an id of its client's own, or more lines in its answer's head."""
        exchange = self._exchange(asked)
        exchange.moments.times = times
        lines = b"content-length: %d\r\nx-request-id: %b\r\n" % (len(payload), exchange.request_id.encode())
        self._write(asked, (200, endpoint.lines + more + lines, payload))
        self._record(exchange)

    # --- compressed ---------------------------------------------------------------------------------------------------

    def _give_compressed(
        self, asked: Asked, endpoint: Endpoint, payload: bytes, times: Times, *, coding: Coding
    ) -> None:
        if len(payload) <= MOST_BYTES_AT_ONCE:
            self._give_either(asked, endpoint, payload, compress(coding, payload), coding=coding, times=times)
            return
        if not asked.connection.can_wait:  # and nobody else either
            self._give_identified(asked, endpoint, payload, times)
            return
        compressing = asyncio.get_running_loop().run_in_executor(self._compressing, compress, coding, payload)
        asked.is_waiting = False
        asked.connection.wait(partial(self.drop, asked))
        compressing.add_done_callback(partial(self._compressed, asked, endpoint, payload, times, coding))

    def _compressed(
        self,
        asked: Asked,
        endpoint: Endpoint,
        payload: bytes,
        times: Times,
        coding: Coding,
        compressing: "asyncio.Future[bytes | None]",
    ) -> None:
        error = compressing.exception()
        if not asked.connection.waits_for(asked):
            return  # the caller has left
        if isinstance(error, Exception):
            self.refuse(asked, error)
        else:
            self._give_either(asked, endpoint, payload, compressing.result(), coding=coding, times=times)

    def _give_either(
        self,
        asked: Asked,
        endpoint: Endpoint,
        payload: bytes,
        compressed: bytes | None,
        *,
        coding: Coding,
        times: Times,
    ) -> None:
        if compressed is None:
            self._give_identified(asked, endpoint, payload, times)
        else:
            self._give_identified(asked, endpoint, compressed, times, header_lines([coding.header]))

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
        return _exchange(asked.head, asked.endpoint, self._ids.draw(), asked.started)


def _exchange(head: Head, endpoint: Endpoint | None, request_id: str, started: float) -> Exchange:
    exchange = Exchange("POST", head.path, head.headers, request_id, started=started)
    exchange.target = head.target
    exchange.caller = head.caller
    exchange.endpoint = endpoint
    exchange.is_body_read = True
    return exchange
