"""Requests of a tick for one version: decoded, run together or alone, and answered (``gateway.web.tick``)."""

import asyncio
from collections import deque
from functools import partial
from time import monotonic
from typing import Any

import structlog

from gateway.codec.json_tensors import PredictBody
from gateway.phases import Times
from gateway.serving.batching import inner_shapes, join, may_share, rows_between, rows_of
from gateway.serving.predictor import Predictor
from gateway.serving.runtime import Array
from gateway.serving.shared_run import Request
from gateway.web.asked import Asked
from gateway.web.company import Company
from gateway.web.endpoint import Endpoint
from gateway.web.predict import SLOW_BYTES
from gateway.web.tick_answers import TickAnswers
from registry.batching import BatchRule
from registry.errors import DeadlinePassed
from registry.values import hold_many


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
        self.taken_count = 0
        """How many requests have been taken out of a tick."""
        self.begun_count = 0
        """How many runs have been begun beyond their tick."""

    def answer(self, endpoint: Endpoint, waiting: deque[Asked], until: float) -> None:
        """Answer requests in their order until a moment of the monotonic clock, some at least; the others stay."""
        while waiting:
            taken: list[Asked] = []
            try:
                self._answer_some(endpoint, waiting, taken, until)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is one request's: each is tried by itself
                structlog.get_logger().error("tick_failed", exc_info=error)
                for asked in taken:
                    if asked.is_waiting:
                        self.answer_safely(endpoint, asked)
            if monotonic() > until:
                return

    def answer_safely(self, endpoint: Endpoint, asked: Asked) -> None:
        """Answer one request by a run of its own, whatever goes wrong."""
        try:
            self._answer_alone(endpoint, asked)
        except Exception as error:  # noqa: BLE001 - the caller gets an answer
            self._answers.refuse(asked, error)

    def _answer_alone(self, endpoint: Endpoint, asked: Asked) -> None:
        began = monotonic()
        request = self._decode(endpoint, asked) if asked.decoded is None else asked.decoded
        if request is not None:
            self._run_alone(endpoint, asked, request, began)

    # --- several requests ---------------------------------------------------------------------------------------------

    def _answer_some(self, endpoint: Endpoint, waiting: deque[Asked], taken: list[Asked], until: float) -> None:
        """Answer as many requests as may share a run, and those among them that may not, while time is left."""
        rule = self._predictor.rule(endpoint.version)  # each time: the run before may have shown that rows mix
        began = monotonic()
        late = began - self._timeout_seconds
        companies: dict[Any, Company] = {}
        rows = 0
        while rows < rule.max_rows and (asked := self._take(waiting)) is not None:
            taken.append(asked)
            is_alone = rule.max_rows == 1 or not (rows or waiting) or asked.started < late
            count = 0 if is_alone or not asked.is_plain else self._join_plainly(endpoint, rule, asked, companies)
            if not count:
                if is_alone:
                    self._answer_alone(endpoint, asked)
                else:
                    count = self._join_company(endpoint, rule, asked, companies)
                if is_alone or monotonic() > until:
                    break
            rows += count
        read_seconds = monotonic() - began if companies else 0.0
        for company in companies.values():
            self._run_in_batches(company, rule, waiting, read_seconds)

    def _take(self, waiting: deque[Asked]) -> Asked | None:
        """Return the next request that is still to be answered, and has somebody who listens; None if there is none."""
        while waiting:
            asked = waiting.popleft()
            self.taken_count += 1
            if not asked.is_waiting:
                continue  # it has been answered before its turn
            if not asked.connection.is_gone:
                return asked
            self._answers.drop(asked)
        return None

    def _join_plainly(self, endpoint: Endpoint, rule: BatchRule, asked: Asked, companies: dict[Any, Company]) -> int:
        """Put a request whose rows can be joined unread to its like; return how many rows; 0 if it is none."""
        plain = endpoint.codec.plain_rows
        if plain is not None and plain.shapes in rule.shapes:
            found = plain.read(asked.body)
            if found is not None and 0 < found.rows < rule.max_rows:
                company = companies.get(None)
                if company is None:
                    company = companies[None] = Company(endpoint, None, plain.join)
                company.add(asked, found.rows, found)
                return found.rows
        asked.is_plain = False
        return 0

    def _join_company(self, endpoint: Endpoint, rule: BatchRule, asked: Asked, companies: dict[Any, Company]) -> int:
        """Put a request to those whose run it may share, and return how many rows; or answer it, and return 0."""
        began = monotonic()
        request = self._decode(endpoint, asked)
        if request is None:
            return 0
        if not may_share(rule, request.feed):
            self._run_alone(endpoint, asked, request, began)
            return 0
        key = request.outputs, inner_shapes(request.feed)
        company = companies.get(key)
        if company is None:
            company = companies[key] = Company(endpoint, request.outputs, join)
        count = rows_of(request.feed)
        company.add(asked, count, request.feed)
        company.has_ids = company.has_ids or request.id is not None
        return count

    def _run_in_batches(self, company: Company, rule: BatchRule, waiting: deque[Asked], read_seconds: float) -> None:
        """Run a company in batches; those whose content cannot be joined wait again, and are decoded by themselves."""
        for batch in company.batches(rule.max_rows):
            is_off = self._predictor.rule(company.endpoint.version).is_off  # the batch before may have shown it
            some = [batch.part(place, place + 1) for place in range(len(batch.asked))] if is_off else [batch]
            for part in some:
                part.decode_began = monotonic() - read_seconds
                feed = part.join(part.contents)
                part.decode_ended = monotonic()
                if feed is not None:
                    self._run_together(part, feed)
                    continue
                for asked in reversed(part.asked):
                    asked.is_plain = False
                    waiting.appendleft(asked)

    def _run_together(self, company: Company, feed: dict[str, Array]) -> None:
        """Run the rows of some requests: together, in halves if that takes too long, or alone if it fails."""
        endpoint, asked, counts = company.endpoint, company.asked, company.counts
        deadline = max([one.started for one in asked]) + self._timeout_seconds
        try:
            arrays = self._predictor.try_share_now(endpoint.version, feed, counts, company.outputs, deadline)
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers get an answer
            if len(asked) == 1 or isinstance(error, DeadlinePassed):
                for one in asked:
                    self._answers.refuse(one, error)
                return
            pieces = [(place, place + 1) for place in range(len(asked))]
        else:
            if arrays is not None:
                self._answers.give_rows(company, arrays, self._times(company.decode_began, company.decode_ended))
                company.offer(feed, arrays)
                return
            if len(asked) == 1:
                request_id = None if asked[0].decoded is None else asked[0].decoded.id
                self._begin(endpoint, asked[0], PredictBody(feed, company.outputs, request_id), company.decode_began)
                return
            middle = len(asked) // 2
            pieces = [(0, middle), (middle, len(asked))]
        row = 0
        for begin, end in pieces:
            last = row + sum(counts[begin:end])
            self._run_together(company.part(begin, end), rows_between(feed, row, last))
            row = last

    # --- one request --------------------------------------------------------------------------------------------------

    def _decode(self, endpoint: Endpoint, asked: Asked) -> PredictBody | None:
        """Return what a request says; None if it has been refused, or needs a longer look, in a thread."""
        asked.decoded = endpoint.codec.decode_quickly(asked.body)
        if asked.decoded is None and len(asked.body) > SLOW_BYTES:
            asked.connection.go_ordinary_way(asked)
        elif asked.decoded is None:
            try:
                asked.decoded = endpoint.codec.decode(asked.body)
            except Exception as error:  # noqa: BLE001 - as above
                self._answers.refuse(asked, error)
        return asked.decoded

    def _times(self, decode_began: float, decode_ended: float | None = None) -> Times:
        """Return the moments of what has just been run, and is encoded now; without a second one it was run at once."""
        began, ended = self._predictor.ran
        return decode_began, began if decode_ended is None else decode_ended, began, ended, ended

    def _run_alone(self, endpoint: Endpoint, asked: Asked, request: PredictBody, began: float) -> None:
        deadline = asked.started + self._timeout_seconds
        try:
            arrays = self._predictor.try_predict_now(endpoint.version, request.feed, request.outputs, deadline)
        except Exception as error:  # noqa: BLE001 - as above
            self._answers.refuse(asked, error)
            return
        if arrays is None:
            self._begin(endpoint, asked, request, began)
        elif hold_many(arrays):  # to be written in a thread; the run was short
            self._go_ordinary_way(asked, request, began)
        else:
            self._give(endpoint, asked, request, arrays, times=self._times(began))
            if endpoint.tap is not None:
                endpoint.tap.offer(request.feed, request.outputs, arrays)

    def _give(
        self, endpoint: Endpoint, asked: Asked, request: PredictBody, arrays: list[Array], *, times: Times
    ) -> None:
        try:
            payload = endpoint.codec.encode(request.outputs or endpoint.output_names, arrays, request_id=request.id)
        except Exception as error:  # noqa: BLE001 - as above
            self._answers.refuse(asked, error)
        else:
            self._answers.give(asked, endpoint, payload, times)

    # --- a run that is not short --------------------------------------------------------------------------------------

    def _begin(self, endpoint: Endpoint, asked: Asked, request: PredictBody, decode_began: float) -> None:
        """Begin it in the executor, where the version is loaded; else the ordinary way loads it.

        What is no tensor may be of many pieces, and the ordinary way has a thread that writes them.
        """
        deadline = asked.started + self._timeout_seconds
        decode_ended = monotonic()
        running = None
        if asked.connection.can_wait and all(spec.is_tensor for spec in endpoint.version.signature.outputs):
            try:
                running = self._predictor.begin(endpoint.version, request.feed, request.outputs, deadline)
            except Exception as error:  # noqa: BLE001 - as above
                self._answers.refuse(asked, error)
                return
        if running is None:
            self._go_ordinary_way(asked, request, decode_began)
            return
        running.moments.decode_began, running.moments.decode_ended = decode_began, decode_ended
        self.begun_count += 1
        asked.is_waiting = False
        asked.decoded = None  # from here on it is the run's
        asked.connection.wait(partial(self._leave, asked, running))
        running.answer.add_done_callback(partial(self._ended, endpoint, asked, request.outputs, request.id, running))

    def _go_ordinary_way(self, asked: Asked, request: PredictBody, decode_began: float) -> None:
        asked.decoded = request
        asked.decode_seconds = monotonic() - decode_began
        asked.connection.go_ordinary_way(asked)

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
        if answer.cancelled():
            return  # the caller has left
        error = answer.exception()
        running.give_up()
        if not asked.connection.waits_for(asked):
            return
        if isinstance(error, Exception):
            self._answers.refuse(asked, error)
        else:
            running.moments.encode_began = monotonic()
            arrays = answer.result()
            self._give(endpoint, asked, PredictBody({}, outputs, request_id), arrays, times=running.moments.times)
            if endpoint.tap is not None:
                endpoint.tap.offer(running.feed, outputs, arrays)
