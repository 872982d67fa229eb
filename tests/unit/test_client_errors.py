import json

import pytest

from gateway.client.errors import ApiError, api_error

PROBLEM = {
    "type": "/docs/problems#invalid_shape",
    "title": "The body does not fit the model's signature",
    "status": 422,
    "detail": "/inputs/x: expected float32[batch, 4], received float32[1, 3]",
    "instance": "request-1",
    "code": "invalid_shape",
    "violations": [{"path": "/inputs/x", "expected": "a", "received": "b", "code": "invalid_shape"}],
}


def described(error: ApiError) -> tuple[object, ...]:
    return error.status, error.code, error.title, error.detail, error.request_id, error.retry_after_seconds


def test_a_problem_keeps_all_that_it_says() -> None:
    error = api_error(422, {}, json.dumps(PROBLEM).encode())

    assert error.document == PROBLEM
    assert described(error) == (422, "invalid_shape", PROBLEM["title"], PROBLEM["detail"], "request-1", None)
    assert (error.violations, error.differences) == (PROBLEM["violations"], ())
    assert str(error) == f"{PROBLEM['title']}: {PROBLEM['detail']}"


@pytest.mark.parametrize(
    ("body", "detail"),
    [(b"", ""), (b"<h1>Bad gateway</h1>", "<h1>Bad gateway</h1>"), (b"[1]", "[1]"), (b"\xff" * 2000, "\ufffd" * 300)],
    ids=["nothing", "a page", "another JSON", "bytes"],
)
def test_an_answer_of_an_intermediary_becomes_a_problem(body: bytes, detail: str) -> None:
    error = api_error(502, {"retry-after": "7"}, body)

    assert described(error) == (502, "http_502", "The server answered 502", detail, None, 7.0)


def test_a_date_in_retry_after_is_passed_over() -> None:
    assert api_error(503, {"retry-after": "Mon, 23 Nov 2026 00:00:00 GMT"}, b"{}").retry_after_seconds is None
