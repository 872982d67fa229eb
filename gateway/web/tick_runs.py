"""Requests of a tick for one version: decoded, run together or alone, and answered (``gateway.web.tick``)."""

import asyncio
from collections import deque
from collections.abc import Sequence
from functools import partial
from time import monotonic
from typing import Any

from gateway.codec.json_tensors import PredictBody
from gateway.codec.plain_rows import RowsDecoder
from gateway.serving.batching import inner_shapes, join, may_share, rows_of
from gateway.serving.predictor import Predictor
from gateway.serving.runtime import Array
from gateway.serving.shared_run import Request
from gateway.web.asked import Asked
from gateway.web.company import Company, Part, batches
from gateway.web.endpoint import Endpoint
from gateway.web.tick_answers import TickAnswers
from registry.batching import BatchRule
from registry.errors import DeadlinePassed


class TickRuns:
    """Runs what a tick has brought for a version; belongs to one event loop.

    Args:
        predictor: makes the runs.
        answers: gives the answers.
        timeout_seconds: how long a request may take.
    """

    def __init__(self, predictor: Predictor, answers: TickAnswers, timeout_seconds: float) -> None:
        self._predictor = predictor
        self._answers = answers
        self._timeout_seconds = timeout_seconds
        self.begun_count = 0
        """How many runs have been begun beyond their tick."""

    def answer(self, endpoint: Endpoint, members: Sequence[Asked], until: float) -> list[Asked]:
        """Answer requests in their order until a moment of the monotonic clock, some at least; return what is left."""
        if len(members) == 1:
            self.answer_alone(endpoint, members[0])
            return []
        waiting = deque(members)
        while waiting:
            self._answer_some(endpoint, waiting)
            if monotonic() > until:
                break
        return list(waiting)

    def answer_alone(self, endpoint: Endpoint, asked: Asked) -> None:
        """Answer one request by a run of its own."""
        request = self._decode(endpoint, asked)
        if request is not None:
            self._run_alone(endpoint, asked, request)

    # --- several requests ---------------------------------------------------------------------------------------------

    def _answer_some(self, endpoint: Endpoint, waiting: deque[Asked]) -> None:
        """Take as many requests as may share a run, if each brings one row, and answer them."""
        rule = self._predictor.rule(endpoint.version)  # each time: the run before may have shown that rows mix
        if rule.is_off:
            self.answer_alone(endpoint, waiting.popleft())
            return
        members = [waiting.popleft() for _ in range(min(rule.max_rows, len(waiting)))]
        plain = endpoint.codec.plain_rows
        if plain is not None and plain.shapes in rule.shapes:
            members = self._answer_plain(endpoint, plain, rule, members)
        companies: dict[Any, Company] = {}
        for asked in members:
            request = self._decode(endpoint, asked)
            if request is None:
                continue
            if may_share(rule, request.feed):
                key = request.outputs, inner_shapes(request.feed)
                company = companies.setdefault(key, Company(endpoint, request.outputs, join, []))
                company.parts.append(Part(asked, rows_of(request.feed), request.feed, request.id))
            else:
                self._run_alone(endpoint, asked, request)
        for company in companies.values():
            self._run_inbatches(company, rule)

    def _answer_plain(
        self, endpoint: Endpoint, plain: RowsDecoder, rule: BatchRule, members: list[Asked]
    ) -> list[Asked]:
        """Answer what can be read as plain rows, and return the others."""
        company, others = Company(endpoint, None, plain.join, []), []
        for asked in members:
            found = plain.read(asked.body)
            if found is None or found.rows >= rule.max_rows:
                others.append(asked)
            else:
                company.parts.append(Part(asked, found.rows, found, found.id))
        return others + self._run_inbatches(company, rule)

    def _run_inbatches(self, company: Company, rule: BatchRule) -> list[Asked]:
        """Run a company in batches; return those whose content cannot be joined."""
        left: list[Asked] = []
        for parts in batches(company.parts, rule.max_rows):
            is_off = self._predictor.rule(
                company.endpoint.version
            ).is_off  # the batch before may have shown that they mix
            for some in [[part] for part in parts] if is_off else [parts]:
                left += self._run(Company(company.endpoint, company.outputs, company.join, some))
        return left

    def _run(self, company: Company) -> list[Asked]:
        """Run a batch; return its requests if their content cannot be joined."""
        feed = company.join([part.content for part in company.parts])
        if feed is None:
            return [part.asked for part in company.parts]
        self._run_parts(company, company.parts, feed)
        return []

    def _run_parts(self, company: Company, parts: list[Part], feed: dict[str, Array]) -> None:
        """Run the rows of some requests: together, in halves if that takes too long, or alone if it fails."""
        endpoint, deadline = company.endpoint, parts[0].asked.started + self._timeout_seconds
        counts = [part.rows for part in parts]
        try:
            shares = self._predictor.try_share_now(endpoint.version, feed, counts, company.outputs, deadline)
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers get an answer
            if len(parts) == 1 or isinstance(error, DeadlinePassed):
                for part in parts:
                    self._answers.refuse(part.asked, error)
                return
            pieces = [[part] for part in parts]
        else:
            if shares is not None:
                self._answers.give_shares(Company(endpoint, company.outputs, company.join, parts), shares)
                return
            if len(parts) == 1:
                self._begin(endpoint, parts[0].asked, PredictBody(feed, company.outputs, parts[0].id))
                return
            middle = len(parts) // 2
            pieces = [parts[:middle], parts[middle:]]
        begin = 0
        for piece in pieces:
            end = begin + sum(part.rows for part in piece)
            self._run_parts(company, piece, {name: array[begin:end] for name, array in feed.items()})
            begin = end

    # --- one request --------------------------------------------------------------------------------------------------

    def _decode(self, endpoint: Endpoint, asked: Asked) -> PredictBody | None:
        """Return what a request says; None if it has been refused."""
        try:
            asked.decoded = endpoint.codec.decode(asked.body)
        except Exception as error:  # noqa: BLE001 - as above
            self._answers.refuse(asked, error)
        return asked.decoded

    def _run_alone(self, endpoint: Endpoint, asked: Asked, request: PredictBody) -> None:
        deadline = asked.started + self._timeout_seconds
        try:
            arrays = self._predictor.try_predict_now(endpoint.version, request.feed, request.outputs, deadline)
        except Exception as error:  # noqa: BLE001 - as above
            self._answers.refuse(asked, error)
            return
        if arrays is None:
            self._begin(endpoint, asked, request)
        else:
            self._give(endpoint, asked, request, arrays)

    def _give(self, endpoint: Endpoint, asked: Asked, request: PredictBody, arrays: list[Array]) -> None:
        try:
            payload = endpoint.codec.encode(request.outputs or endpoint.output_names, arrays, request_id=request.id)
        except Exception as error:  # noqa: BLE001 - as above
            self._answers.refuse(asked, error)
        else:
            self._answers.give(asked, endpoint, payload)

    # --- a run that is not short --------------------------------------------------------------------------------------

    def _begin(self, endpoint: Endpoint, asked: Asked, request: PredictBody) -> None:
        """Begin it in the executor, where the version is loaded; else the ordinary way loads it."""
        deadline = asked.started + self._timeout_seconds
        running = None
        if asked.connection.can_wait:
            try:
                running = self._predictor.begin(endpoint.version, request.feed, request.outputs, deadline)
            except Exception as error:  # noqa: BLE001 - as above
                self._answers.refuse(asked, error)
                return
        if running is None:
            asked.decoded = request
            asked.connection.go_ordinary_way(asked)
            return
        self.begun_count += 1
        asked.is_begun = True
        asked.decoded = None  # from here on it is the run's
        asked.connection.wait(partial(self._leave, asked, running))
        running.answer.add_done_callback(partial(self._ended, endpoint, asked, request.outputs, request.id, running))

    def _leave(self, asked: Asked, running: Request) -> None:
        """Stop a run whose caller has left."""
        running.give_up()
        self._answers.drop(asked)

    def _ended(
        self,
        endpoint: Endpoint,
        asked: Asked,
        outputs: tuple[str, ...] | None,
        request_id: str | None,
        running: Request,
        answer: "asyncio.Future[list[Array]]",
    ) -> None:
        error = answer.exception()
        running.give_up()
        if not asked.connection.waits_for(asked):
            return
        if isinstance(error, Exception):
            self._answers.refuse(asked, error)
        else:
            self._give(endpoint, asked, PredictBody({}, outputs, request_id), answer.result())
