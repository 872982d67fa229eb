"""The predict requests that one tick of the event loop has brought, answered together.

1. A request that is complete is put here. The first one has the tick end as soon as the event loop has read what all
   its connections have brought: there is no timer, and nobody waits.
2. Requests of one version share runs where its rule allows it (``gateway.serving.batching``); the others run one by
   one, in the same place. A version has ``SHORT_SECONDS`` of a tick; what is left of its requests then waits for the
   next one, so that a crowd for one version delays nobody else for long, and no connection waits to be accepted.
3. A run that is not short is begun in the executor, and answered when it has ended. What cannot be begun (a version
   that is not loaded) is given back to its connection and goes the ordinary way.
4. Who asks, and where a path leads, is found out once a tick for each head: nothing else happens within a tick. It
   holds for what the tick has brought, even if that has to wait for the next one.
5. A caller that has gone is dropped before the run. A run that fails is made again for each of its requests alone: one
   bad row fails only its own caller.
6. Whatever goes wrong with a request is answered by the same code as on the ordinary way (``Front``).
"""

import asyncio
from collections import deque
from math import inf
from time import monotonic

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
        self._backlog: dict[Endpoint, deque[Asked]] = {}
        """What waits for its version's part of the next tick."""
        self._started = 0.0
        self._is_ending = False

    def add(self, asked: Asked) -> None:
        """Take a request; its connection hears of it."""
        if not self._asked:
            self._started = monotonic()
            self._alertness.came(self._started)
        asked.started = self._started
        self._asked.append(asked)
        if not self._is_ending:
            self._end_soon()

    def answer(self, asked: Asked) -> None:
        """Answer one request before its turn, or begin with it: its connection cannot wait."""
        if asked.is_waiting and asked.endpoint is None:
            asked.endpoint = self._find_safely(asked)
        if asked.is_waiting and asked.endpoint is not None:
            self._runs.answer_safely(asked.endpoint, asked)

    def refuse(self, asked: Asked, error: ServiceError) -> None:
        """Refuse a request that is not in any tick: it has not come whole."""
        asked.endpoint = self._routing.find(asked.head.target.reference, asked.head.routing_key)
        self._answers.refuse(asked, error)

    def _end_soon(self) -> None:
        self._is_ending = True
        asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        """Answer what is there, and come back for what is left."""
        self._is_ending = False
        answered_before, begun_before = self._runs.taken_count, self._runs.begun_count
        if len(self._asked) == 1 and not self._backlog:
            self._answer_only(self._asked.pop())
        else:
            self._answer_all()
        if self._runs.begun_count == begun_before:  # else a run wants the processor
            self._alertness.answered(self._runs.taken_count - answered_before)
        if self._backlog and not self._is_ending:
            self._end_soon()

    def _answer_only(self, asked: Asked) -> None:
        """Answer the only request that there is, without the books of a crowd: who comes alone would wait for them."""
        if asked.is_waiting:
            self._runs.taken_count += 1
            self.answer(asked)

    def _answer_all(self) -> None:
        """Answer what has come and what is left of the tick before, each version for so long."""
        self._sort()
        for endpoint, waiting in tuple(self._backlog.items()):
            self._runs.answer(endpoint, waiting, monotonic() + SHORT_SECONDS)
            if not waiting:
                del self._backlog[endpoint]

    def _sort(self) -> None:
        """Put what has come to its version's backlog."""
        collected, self._asked = self._asked, []
        known: dict[Head, Endpoint] = {}
        for asked in collected:
            if not asked.is_waiting:
                continue  # it has been answered before its turn
            endpoint = known.get(asked.head)
            if endpoint is None:
                endpoint = self._find_safely(asked)
                if endpoint is None:
                    continue
                if self._routing.is_settled(asked.head.target.reference):
                    known[asked.head] = endpoint
            asked.endpoint = endpoint
            waiting = self._backlog.get(endpoint)
            if waiting is None:
                waiting = self._backlog[endpoint] = deque()
            waiting.append(asked)

    def _find_safely(self, asked: Asked) -> Endpoint | None:
        try:
            return self._find(asked)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
            self._answers.refuse(asked, error)
            return None

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
