"""Which refusals a proxy is told to take to another gateway."""

from time import monotonic

import pytest

from gateway.web.elsewhere import mark
from gateway.web.exchange import Exchange
from model_store.s3.client import Patience
from registry.errors import (
    InsufficientMemory,
    InvalidName,
    LoadFailed,
    ModelCrashed,
    Overloaded,
    RegistryUnavailable,
    ServiceError,
    StorageUnavailable,
)
from registry.sql.engine import BUSY_TIMEOUT_SECONDS

ASKED = {b"x-try-elsewhere": b"425"}
ASKED_FOR_A_HEADER = {b"x-try-elsewhere": b"header"}
MARK = [(b"x-try-elsewhere", b"yes")]
MOST_BETWEEN_ATTEMPTS = 1 + 2
"""Seconds that boto3 may wait before the second attempt, and before the third."""


def refuse(
    error: ServiceError, headers: dict[bytes, bytes], *, run_began: float = 0.0, waited_seconds: float = 0.0
) -> tuple[int, object]:
    started = monotonic() - waited_seconds
    exchange = Exchange("POST", "/models/iris/predict", headers, "id", started=started)
    exchange.moments.run_began = run_began
    told: list[tuple[bytes, bytes]] = []
    return mark(exchange, error, 503, told), told


@pytest.mark.parametrize("error", [RegistryUnavailable("away"), StorageUnavailable("away"), LoadFailed("no")])
def test_what_lies_in_this_gateway_another_may_answer(error: ServiceError) -> None:
    assert refuse(error, ASKED) == (425, MARK)


def test_a_proxy_that_looks_at_headers_sees_the_status_that_callers_see() -> None:
    assert refuse(RegistryUnavailable("away"), ASKED_FOR_A_HEADER) == (503, MARK)


def test_who_does_not_ask_is_told_nothing() -> None:
    assert refuse(RegistryUnavailable("away"), {}) == (503, [])


@pytest.mark.parametrize("error", [ModelCrashed("died"), Overloaded("full"), InvalidName("no")])
def test_what_lies_in_the_request_or_its_model_goes_nowhere_else(error: ServiceError) -> None:
    assert refuse(error, ASKED) == (503, [])


def test_what_has_begun_to_run_goes_nowhere_else() -> None:
    assert refuse(StorageUnavailable("away"), ASKED, run_began=1.0) == (503, [])


@pytest.mark.parametrize(
    "error", [InsufficientMemory("none became free"), LoadFailed("no"), StorageUnavailable("away")]
)
def test_who_has_waited_here_until_the_deadline_does_not_wait_elsewhere_as_well(error: ServiceError) -> None:
    assert refuse(error, ASKED, waited_seconds=30.0) == (503, [])


def test_what_does_not_fit_at_once_another_may_answer() -> None:
    assert refuse(InsufficientMemory("too large"), ASKED) == (425, MARK)


def test_a_database_that_says_nothing_is_given_up_in_time_for_another_gateway() -> None:
    assert refuse(RegistryUnavailable("silent"), ASKED, waited_seconds=BUSY_TIMEOUT_SECONDS + 1) == (425, MARK)


def test_a_store_whose_host_is_gone_is_given_up_in_time_for_another_gateway() -> None:
    patience = Patience()
    gone = patience.read_seconds + (patience.attempts - 1) * patience.connect_seconds + MOST_BETWEEN_ATTEMPTS
    assert refuse(StorageUnavailable("silent"), ASKED, waited_seconds=gone) == (425, MARK)


def test_who_has_waited_longer_for_the_database_goes_nowhere_else() -> None:
    assert refuse(RegistryUnavailable("silent"), ASKED, waited_seconds=30.0) == (503, [])
