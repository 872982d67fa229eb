"""Which refusals a proxy is told to take to another gateway."""

import pytest

from gateway.web.elsewhere import mark
from gateway.web.exchange import Exchange
from registry.errors import (
    InvalidName,
    LoadFailed,
    ModelCrashed,
    Overloaded,
    RegistryUnavailable,
    ServiceError,
    StorageUnavailable,
)

ASKED = {b"x-try-elsewhere": b"425"}
ASKED_FOR_A_HEADER = {b"x-try-elsewhere": b"header"}
MARK = [(b"x-try-elsewhere", b"yes")]


def refuse(error: ServiceError, headers: dict[bytes, bytes], *, run_began: float = 0.0) -> tuple[int, object]:
    exchange = Exchange("POST", "/models/iris/predict", headers, "id")
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
