"""The predict requests that one tick of the event loop has brought, answered together.

1. A request that is complete is put here. The first one has ``answer`` called as soon as the event loop has read what
   all its connections have brought: there is no timer, and nobody waits.
2. Requests of one version share runs where its rule allows it (``gateway.serving.batching``); the others run one by
   one, in the same place. What cannot be answered without waiting (a version that is not loaded, a long run) is given
   back to its connection and goes the ordinary way.
3. Who asks, and where a path leads, is found out once a tick for each head: nothing else happens within a tick.
4. A caller that has gone is dropped before the run. A run that fails is made again for each of its requests alone: one
   bad row fails only its own caller.
5. Whatever goes wrong with a request is answered by the same code as on the ordinary way (``Front``).
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any, Protocol

from gateway.codec.json_tensors import PredictBody
from gateway.serving.batching import inner_shapes, join, may_share, rows_of
from gateway.serving.runtime import Array
from gateway.web.alertness import Alertness
from gateway.web.endpoint import Endpoint
from gateway.web.exchange import Exchange, RequestIds
from gateway.web.heads import Head
from gateway.web.services import Services
from registry.batching import BatchRule
from registry.errors import DeadlinePassed, ServiceError
from registry.roles import Role

Lines = tuple[int, bytes, bytes]
"""Status, headers as HTTP/1.1 writes them, body."""


class Connection(Protocol):
    """Where a request came from."""

    @property
    def is_gone(self) -> bool:
        """True if nobody listens any more."""
        ...

    def waits_for(self, asked: "Asked") -> bool:
        """Return whether the request has been neither answered nor taken back."""
        ...

    def begin_answer(self, status: int) -> bytes:
        """Return the status line and the headers that every answer has."""
        ...

    def answer(self, octets: bytes) -> None:
        """Write a whole answer, and wait for the next request."""
        ...

    def go_ordinary_way(self, asked: "Asked") -> None:
        """Have the request answered by the ASGI application."""
        ...


class Asked:
    """A complete request that waits for the end of the tick.

    Args:
        connection: where it came from.
        head: its head.
        body: its body.
        raw: all its bytes, if no parser has seen them yet.
    """

    __slots__ = ("body", "connection", "decoded", "endpoint", "head", "raw")

    def __init__(self, connection: Connection, head: Head, body: bytes, raw: bytes | None = None) -> None:
        self.connection = connection
        self.head = head
        self.body = body
        self.raw = raw
        self.endpoint: Endpoint | None = None
        self.decoded: PredictBody | None = None
        """What the body says to ``endpoint``, if that is known."""


@dataclass(slots=True)
class _Part:
    """A request that may share a run: how many rows it brings, and these in the form that ``_Company.join`` takes."""

    asked: Asked
    rows: int
    content: Any
    id: str | None


@dataclass(slots=True)
class _Company:
    """Requests that may share runs with each other."""

    endpoint: Endpoint
    outputs: tuple[str, ...] | None
    join: Callable[[Sequence[Any]], dict[str, Array] | None]
    parts: list[_Part]


class Tick:
    """Collects requests and answers them at the end of the tick; belongs to one event loop.

    Args:
        services: what it works with.
        ids: where the requests' ids come from.
        refuse: makes the answer to a request that met an error.
        record: counts and logs such a request.
    """

    def __init__(
        self,
        services: Services,
        ids: RequestIds,
        *,
        refuse: Callable[[Exchange, Exception], Lines],
        record: Callable[[Exchange], None],
    ) -> None:
        self._predictor = services.predictor
        self._routing = services.routing
        self._gate = services.gate
        self._log = services.access_log
        self._timeout_seconds = services.settings.predict_timeout_seconds
        self._ids = ids
        self._refuse = refuse
        self._record = record
        self._alertness = Alertness()
        self._asked: list[Asked] = []
        self._started = 0.0

    def add(self, asked: Asked) -> None:
        """Take a request; its connection hears of it within this tick."""
        if not self._asked:
            self._started = monotonic()
            self._alertness.came(self._started)
            asyncio.get_running_loop().call_soon(self.answer)
        self._asked.append(asked)

    def answer(self) -> None:
        """Answer what is there."""
        collected, self._asked = self._asked, []
        if not collected:
            return  # it has been answered before its end
        for endpoint, members in self._by_endpoint(collected).items():
            try:
                self._answer_version(endpoint, members)
            except Exception as error:  # noqa: BLE001 - whatever it is, every caller gets an answer
                for asked in members:
                    if asked.connection.waits_for(asked):
                        self._fail(asked, error)
        self._alertness.answered(len(collected))

    def _by_endpoint(self, collected: Sequence[Asked]) -> dict[Endpoint, list[Asked]]:
        found: dict[Endpoint, list[Asked]] = {}
        for asked in collected:
            try:
                endpoint = self._find(asked)
            except Exception as error:  # noqa: BLE001 - as above
                self._fail(asked, error)
                continue
            if endpoint is not None:
                found.setdefault(endpoint, []).append(asked)
        return found

    def _find(self, asked: Asked) -> Endpoint | None:
        """Return where a request leads; None if it is dealt with otherwise."""
        head = asked.head
        if asked.connection.is_gone:
            self._drop(asked)
            return None
        if head.checked_at < self._started:
            self.check(head, self._started)
        endpoint = None
        if head.caller is not None:
            endpoint = self._routing.find(head.target.reference, head.routing_key)
        if endpoint is None:
            asked.connection.go_ordinary_way(asked)
        else:
            asked.endpoint = endpoint
        return endpoint

    def check(self, head: Head, now: float) -> None:
        """Find out who sends this, and whether they may."""
        head.checked_at = inf if self._gate.is_constant else now
        try:
            head.caller = self._gate.find(head.headers, {}, now)
            if head.caller is not None:
                head.caller.require(Role.PREDICT, head.target.reference.model)
        except ServiceError:
            head.caller = None  # the ordinary way tells why

    # --- one version --------------------------------------------------------------------------------------------------

    def _answer_version(self, endpoint: Endpoint, members: list[Asked]) -> None:
        if len(members) == 1:
            self._answer_alone(endpoint, members[0])
            return
        rule = self._predictor.rule(endpoint.version)
        if not rule.is_off:
            members = self._answer_plain(endpoint, rule, members)
        companies: dict[Any, _Company] = {}
        for asked in members:
            try:
                request = asked.decoded = endpoint.codec.decode(asked.body)
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
                self._fail(asked, error)
                continue
            if may_share(rule, request.feed):
                key = request.outputs, inner_shapes(request.feed)
                company = companies.setdefault(key, _Company(endpoint, request.outputs, join, []))
                company.parts.append(_Part(asked, rows_of(request.feed), request.feed, request.id))
            else:
                self._run_alone(endpoint, asked, request)
        for company in companies.values():
            self._run_in_batches(company, rule)

    def _answer_alone(self, endpoint: Endpoint, asked: Asked) -> None:
        try:
            request = asked.decoded = endpoint.codec.decode(asked.body)
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(asked, error)
        else:
            self._run_alone(endpoint, asked, request)

    def _run_alone(self, endpoint: Endpoint, asked: Asked, request: PredictBody) -> None:
        outputs = request.outputs
        deadline = self._started + self._timeout_seconds
        try:
            arrays = self._predictor.try_predict_now(endpoint.version, request.feed, outputs, deadline)
            if arrays is None:
                asked.connection.go_ordinary_way(asked)
                return
            payload = endpoint.codec.encode(outputs or endpoint.output_names, arrays, request_id=request.id)
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(asked, error)
            return
        if asked.head.has_id:
            self._finish_identified(asked, payload)
            return
        request_id = self._ids.draw_bytes()
        begin = asked.connection.begin_answer(200)
        asked.connection.answer(
            b"%b%bcontent-length: %d\r\nx-request-id: %b\r\n\r\n%b"
            % (begin, endpoint.lines, len(payload), request_id, payload)
        )
        self._count(endpoint, asked.head, (request_id,))

    def _answer_plain(self, endpoint: Endpoint, rule: BatchRule, members: list[Asked]) -> list[Asked]:
        """Answer what can be read as plain rows, and return the others."""
        plain = endpoint.codec.plain_rows
        if plain is None:
            return members
        company, others = _Company(endpoint, None, plain.join, []), []
        for asked in members:
            found = plain.read(asked.body)
            if found is None or len(found[0]) >= rule.max_rows:
                others.append(asked)
            else:
                company.parts.append(_Part(asked, len(found[0]), found, found[1]))
        if plain.shapes not in rule.shapes:
            return members
        return others + self._run_in_batches(company, rule)

    def _run_in_batches(self, company: _Company, rule: BatchRule) -> list[Asked]:
        """Run a company in batches; return those whose content cannot be joined."""
        left: list[Asked] = []
        for parts in _batches(company.parts, rule.max_rows):
            batch = _Company(company.endpoint, company.outputs, company.join, parts)
            left += self._run(batch)
        return left

    def _run(self, company: _Company) -> list[Asked]:
        """Run a batch, in halves if it is too long; return its requests if their content cannot be joined."""
        parts = company.parts
        feed = company.join([part.content for part in parts])
        if feed is None:
            return [part.asked for part in parts]
        deadline = self._started + self._timeout_seconds
        try:
            shares = self._predictor.try_share_now(
                company.endpoint.version, feed, [part.rows for part in parts], company.outputs, deadline
            )
        except Exception as error:  # noqa: BLE001 - as above
            if len(parts) > 1 and not isinstance(error, DeadlinePassed):
                return self._run_each(company, [[part] for part in parts])
            for part in parts:
                self._fail(part.asked, error)
            return []
        if shares is not None:
            self._finish(company, shares)
        elif len(parts) > 1:
            middle = len(parts) // 2
            return self._run_each(company, [parts[:middle], parts[middle:]])
        else:
            parts[0].asked.connection.go_ordinary_way(parts[0].asked)
        return []

    def _run_each(self, company: _Company, pieces: list[list[_Part]]) -> list[Asked]:
        left: list[Asked] = []
        for parts in pieces:
            left += self._run(_Company(company.endpoint, company.outputs, company.join, parts))
        return left

    # --- answers ------------------------------------------------------------------------------------------------------

    def _finish(self, company: _Company, shares: list[list[Array]]) -> None:
        """Give each request its own rows."""
        endpoint, parts = company.endpoint, company.parts
        begin = parts[0].asked.connection.begin_answer(200) + endpoint.lines
        names = company.outputs or endpoint.output_names
        ids: dict[Head, list[bytes]] = {}
        for part, share in zip(parts, shares, strict=True):
            asked = part.asked
            try:
                payload = endpoint.codec.encode(names, share, request_id=part.id)
            except Exception as error:  # noqa: BLE001 - as above
                self._fail(asked, error)
                continue
            if asked.head.has_id:
                self._finish_identified(asked, payload)
                continue
            request_id = self._ids.draw_bytes()
            asked.connection.answer(
                b"%bcontent-length: %d\r\nx-request-id: %b\r\n\r\n%b" % (begin, len(payload), request_id, payload)
            )
            ids.setdefault(asked.head, []).append(request_id)
        for head, answered in ids.items():
            self._count(endpoint, head, answered)

    def _count(self, endpoint: Endpoint, head: Head, ids: Sequence[bytes]) -> None:
        seconds = monotonic() - self._started
        endpoint.counts.add("ok", seconds, len(ids))
        if self._log.is_on:
            self._log.add_alike(head.log_line(endpoint), ids, seconds)

    def _finish_identified(self, asked: Asked, payload: bytes) -> None:
        """Answer a request that has an id of its client's own."""
        exchange = self._exchange(asked)
        lines = b"content-length: %d\r\nx-request-id: %b\r\n" % (len(payload), exchange.request_id.encode())
        endpoint = asked.endpoint
        assert endpoint is not None  # noqa: S101 - it has run
        self._write(asked, (200, endpoint.lines + lines, payload))
        self._record(exchange)

    def _fail(self, asked: Asked, error: Exception) -> None:
        exchange = self._exchange(asked)
        self._write(asked, self._refuse(exchange, error))
        self._record(exchange)

    def _drop(self, asked: Asked) -> None:
        exchange = self._exchange(asked)
        exchange.give_up()
        self._record(exchange)

    def _write(self, asked: Asked, lines: Lines) -> None:
        status, headers, body = lines
        asked.connection.answer(b"%b%b\r\n%b" % (asked.connection.begin_answer(status), headers, body))

    def _exchange(self, asked: Asked) -> Exchange:
        head = asked.head
        exchange = Exchange("POST", head.path, head.headers, self._ids.draw(), started=self._started)
        exchange.target = head.target
        exchange.caller = head.caller
        exchange.endpoint = asked.endpoint
        exchange.is_body_read = True
        return exchange


def _batches(parts: Sequence[_Part], max_rows: int) -> Iterator[list[_Part]]:
    """Yield the requests in their order, in batches of at most so many rows."""
    batch: list[_Part] = []
    rows = 0
    for part in parts:
        if batch and rows + part.rows > max_rows:
            yield batch
            batch, rows = [], 0
        batch.append(part)
        rows += part.rows
    if batch:
        yield batch
