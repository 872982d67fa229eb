"""The predict requests that one tick of the event loop has brought, answered together.

1. A request that is complete is put here. The first one has the tick end as soon as the event loop has read what all
   its connections have brought: there is no timer, and nobody waits.
2. Requests of one version share runs where its rule allows it (``gateway.serving.batching``); the others run one by
   one, in the same place. A version has ``SHORT_SECONDS`` of a tick; what is left of its requests then comes first in
   the next one, so that a crowd for one version delays nobody else for long, and no connection waits to be accepted.
3. A run that is not short is begun in the executor, and answered when it has ended. What cannot be begun (a version
   that is not loaded) is given back to its connection and goes the ordinary way.
4. Who asks, and where a path leads, is found out once a tick for each head: nothing else happens within a tick.
5. A caller that has gone is dropped before the run. A run that fails is made again for each of its requests alone: one
   bad row fails only its own caller.
6. Whatever goes wrong with a request is answered by the same code as on the ordinary way (``Front``).
"""

import asyncio
from collections.abc import Sequence
from math import inf
from time import monotonic

import structlog

from gateway.serving.predictor import SHORT_SECONDS
from gateway.web.alertness import Alertness
from gateway.web.asked import Asked
from gateway.web.endpoint import Endpoint
from gateway.web.heads import Head
from gateway.web.services import Services
from gateway.web.tick_answers import TickAnswers
from gateway.web.tick_runs import TickRuns
from registry.errors import ServiceError
from registry.roles import Role


class Tick:
    """Collects requests and answers them at the end of the tick; belongs to one event loop.

    Args:
        services: what it works with.
        answers: what gives the answers.
    """

    def __init__(self, services: Services, answers: TickAnswers) -> None:
        self._routing = services.routing
        self._gate = services.gate
        self._answers = answers
        self._runs = TickRuns(services.predictor, answers, services.settings.predict_timeout_seconds)
        self._alertness = Alertness()
        self._asked: list[Asked] = []
        self._started = 0.0
        self._is_ending = False

    def add(self, asked: Asked) -> None:
        """Take a request; its connection hears of it."""
        if not self._asked:
            self._started = monotonic()
            self._alertness.came(self._started)
        asked.started = self._started
        self._asked.append(asked)
        self._end_soon()

    def answer(self) -> None:
        """Answer all that is there, or begin with it, whatever time it takes."""
        self._answer(inf)

    def _end_soon(self) -> None:
        if not self._is_ending:
            self._is_ending = True
            asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        self._is_ending = False
        left = self._answer(SHORT_SECONDS)
        if left:
            self._asked[:0] = left
            self._started = monotonic()
            self._end_soon()

    def _answer(self, seconds: float) -> list[Asked]:
        """Answer what is there, each version for so long; return what is left."""
        collected, self._asked = self._asked, []
        left: list[Asked] = []
        if not collected:
            return left  # it has been answered before its end
        begun_before = self._runs.begun_count
        for endpoint, members in self._by_endpoint(collected).items():
            try:
                left += self._runs.answer(endpoint, members, monotonic() + seconds)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is one request's: each is tried by itself
                structlog.get_logger().error("tick_failed", exc_info=error)
                for asked in members:
                    if asked.connection.waits_for(asked) and not asked.is_begun:
                        self._runs.answer_alone(endpoint, asked)
        if self._runs.begun_count == begun_before:  # else a run wants the processor
            self._alertness.answered(len(collected) - len(left))
        return left

    def _by_endpoint(self, collected: Sequence[Asked]) -> dict[Endpoint, list[Asked]]:
        found: dict[Endpoint, list[Asked]] = {}
        known: dict[Head, Endpoint] = {}
        for asked in collected:
            endpoint = known.get(asked.head)
            if endpoint is None or asked.connection.is_gone:
                try:
                    endpoint = self._find(asked)
                except Exception as error:  # noqa: BLE001 - as above
                    self._answers.refuse(asked, error)
                    continue
                if endpoint is None:
                    continue
                if self._routing.is_settled(asked.head.target.reference):
                    known[asked.head] = endpoint
            if asked.endpoint is not endpoint:
                asked.endpoint, asked.decoded = endpoint, None
            found.setdefault(endpoint, []).append(asked)
        return found

    def _find(self, asked: Asked) -> Endpoint | None:
        """Return where a request leads; None if it is dealt with otherwise."""
        head = asked.head
        if asked.connection.is_gone:
            self._answers.drop(asked)
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
