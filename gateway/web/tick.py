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
from collections.abc import Sequence
from math import inf
from time import monotonic
from typing import Any

import structlog

from gateway.codec.json_tensors import PredictBody
from gateway.serving.batching import inner_shapes, join, may_share, rows_of
from gateway.web.alertness import Alertness
from gateway.web.asked import Asked
from gateway.web.company import Company, Part, batches
from gateway.web.endpoint import Endpoint
from gateway.web.heads import Head
from gateway.web.services import Services
from gateway.web.tick_answers import TickAnswers
from registry.batching import BatchRule
from registry.errors import DeadlinePassed, ServiceError
from registry.roles import Role


class Tick:
    """Collects requests and answers them at the end of the tick; belongs to one event loop.

    Args:
        services: what it works with.
        answers: what gives the answers.
    """

    def __init__(self, services: Services, answers: TickAnswers) -> None:
        self._predictor = services.predictor
        self._routing = services.routing
        self._gate = services.gate
        self._timeout_seconds = services.settings.predict_timeout_seconds
        self._answers = answers
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
            except Exception as error:  # noqa: BLE001 - whatever it is, it is one request's: each is tried by itself
                structlog.get_logger().error("tick_failed", exc_info=error)
                for asked in members:
                    if asked.connection.waits_for(asked):
                        self._answer_alone(endpoint, asked)
        self._alertness.answered(len(collected))

    def _by_endpoint(self, collected: Sequence[Asked]) -> dict[Endpoint, list[Asked]]:
        found: dict[Endpoint, list[Asked]] = {}
        known: dict[Head, Endpoint] = {}
        for asked in collected:
            endpoint = known.get(asked.head)
            if endpoint is None or asked.connection.is_gone:
                try:
                    endpoint = self._find(asked)
                except Exception as error:  # noqa: BLE001 - as above
                    self._answers.refuse(asked, error, self._started)
                    continue
                if endpoint is None:
                    continue
                if self._routing.is_settled(asked.head.target.reference):
                    known[asked.head] = endpoint
            asked.endpoint = endpoint
            found.setdefault(endpoint, []).append(asked)
        return found

    def _find(self, asked: Asked) -> Endpoint | None:
        """Return where a request leads; None if it is dealt with otherwise."""
        head = asked.head
        if asked.connection.is_gone:
            self._answers.drop(asked, self._started)
            return None
        if head.checked_at < self._started:
            self.check(head, self._started)
        endpoint = None
        if head.caller is not None:
            endpoint = self._routing.find(head.target.reference, head.routing_key)
        if endpoint is None:
            asked.connection.go_ordinary_way(asked)
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
        companies: dict[Any, Company] = {}
        for asked in members:
            try:
                request = asked.decoded = endpoint.codec.decode(asked.body)
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
                self._answers.refuse(asked, error, self._started)
                continue
            if may_share(rule, request.feed):
                key = request.outputs, inner_shapes(request.feed)
                company = companies.setdefault(key, Company(endpoint, request.outputs, join, []))
                company.parts.append(Part(asked, rows_of(request.feed), request.feed, request.id))
            else:
                self._run_alone(endpoint, asked, request)
        for company in companies.values():
            self._run_inbatches(company, rule)

    def _answer_alone(self, endpoint: Endpoint, asked: Asked) -> None:
        try:
            request = asked.decoded = endpoint.codec.decode(asked.body)
        except Exception as error:  # noqa: BLE001 - as above
            self._answers.refuse(asked, error, self._started)
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
            self._answers.refuse(asked, error, self._started)
            return
        self._answers.give(asked, endpoint, payload, self._started)

    def _answer_plain(self, endpoint: Endpoint, rule: BatchRule, members: list[Asked]) -> list[Asked]:
        """Answer what can be read as plain rows, and return the others."""
        plain = endpoint.codec.plain_rows
        if plain is None or plain.shapes not in rule.shapes:
            return members
        company, others = Company(endpoint, None, plain.join, []), []
        for asked in members:
            found = plain.read(asked.body)
            if found is None or len(found[0]) >= rule.max_rows:
                others.append(asked)
            else:
                company.parts.append(Part(asked, len(found[0]), found, found[1]))
        return others + self._run_inbatches(company, rule)

    def _run_inbatches(self, company: Company, rule: BatchRule) -> list[Asked]:
        """Run a company in batches; return those whose content cannot be joined."""
        left: list[Asked] = []
        for parts in batches(company.parts, rule.max_rows):
            if self._predictor.rule(company.endpoint.version).is_off:  # the batch before has shown that they mix
                left += self._run_each(company, [[part] for part in parts])
                continue
            batch = Company(company.endpoint, company.outputs, company.join, parts)
            left += self._run(batch)
        return left

    def _run(self, company: Company) -> list[Asked]:
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
                self._answers.refuse(part.asked, error, self._started)
            return []
        if shares is not None:
            self._answers.give_shares(company, shares, self._started)
        elif len(parts) > 1:
            middle = len(parts) // 2
            return self._run_each(company, [parts[:middle], parts[middle:]])
        else:
            parts[0].asked.connection.go_ordinary_way(parts[0].asked)
        return []

    def _run_each(self, company: Company, pieces: list[list[Part]]) -> list[Asked]:
        left: list[Asked] = []
        for parts in pieces:
            left += self._run(Company(company.endpoint, company.outputs, company.join, parts))
        return left
