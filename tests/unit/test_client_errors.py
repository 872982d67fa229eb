import copy
import json
from typing import Any

import pytest

from gateway import client
from gateway.client import Difference, Violation
from gateway.client.errors import ApiError, api_error
from gateway.web.problems import STATUS, all_errors
from registry.errors import ServiceError

VIOLATION = {"path": "/inputs/x", "expected": "a", "received": "b", "code": "invalid_shape"}
PROBLEM = {
    "type": "/docs/problems#invalid_shape",
    "title": "The body does not fit the model's signature",
    "status": 422,
    "detail": "/inputs/x: expected float32[batch, 4], received float32[1, 3]",
    "instance": "request-1",
    "code": "invalid_shape",
    "violations": [VIOLATION],
}


def described(error: ApiError) -> tuple[object, ...]:
    return error.status, error.code, error.title, error.detail, error.request_id, error.retry_after_seconds


def test_a_problem_keeps_all_that_it_says() -> None:
    error = api_error(422, {}, json.dumps(PROBLEM).encode())

    assert error.document == PROBLEM
    assert described(error) == (422, "invalid_shape", PROBLEM["title"], PROBLEM["detail"], "request-1", None)
    assert (error.violations, error.differences) == ((Violation(**VIOLATION),), ())
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


def families() -> dict[str, type[ApiError]]:
    kinds = (client.CallerError, client.AccessError, client.NotFound, client.Conflict, client.Busy, client.Fault)
    return {kind.__name__: kind for kind in kinds}


@pytest.mark.parametrize(
    "error", [error for error in all_errors() if "code" in vars(error)], ids=lambda error: error.code
)
def test_an_error_is_of_the_family_that_the_gateway_has_it_in(error: type[ServiceError]) -> None:
    family = next(kind for kind in error.__mro__ if kind.__name__ in families())

    raised = api_error(STATUS[error], {}, json.dumps({"code": error.code}).encode())

    assert isinstance(raised, families()[family.__name__])


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, client.CallerError),
        (418, client.CallerError),
        (502, client.Busy),
        (500, client.Fault),
        (505, client.Fault),
    ],
)
def test_what_an_intermediary_says_is_told_by_its_status(status: int, kind: type[ApiError]) -> None:
    assert type(api_error(status, {}, b"")) is kind


@pytest.mark.parametrize("path", ["", "/inputs", "/inputs/x/0", "/outputs/1", "/instances/3"])
def test_faults_of_a_predict_body_are_an_input_mismatch(path: str) -> None:
    body = json.dumps({"code": "invalid_shape", "violations": [{**VIOLATION, "path": path}]}).encode()
    assert type(api_error(422, {}, body)) is client.InputMismatch


def test_faults_of_another_request_are_not() -> None:
    body = json.dumps({"code": "invalid_request", "violations": [{**VIOLATION, "path": "/inputs_of/x"}]}).encode()
    assert type(api_error(422, {}, body)) is client.CallerError


def test_the_message_names_the_first_faults_and_counts_the_others() -> None:
    faults = [{**VIOLATION, "path": f"/inputs/x/{row}"} for row in range(7)]
    error = api_error(422, {}, json.dumps({**PROBLEM, "violations": faults}).encode())

    named = [f"  /inputs/x/{row}: expected a, received b" for row in range(5)]
    assert str(error).split("\n") == [f"{PROBLEM['title']}:", *named, "  and 2 more"]


def test_breaking_differences_are_named_as_well() -> None:
    differences = [{"path": f"inputs/{name}/dtype", "before": "int64", "after": "float32"} for name in "ab"]
    error = api_error(409, {}, json.dumps({"title": "It breaks callers", "differences": differences}).encode())

    assert error.differences == tuple(Difference(**each) for each in differences)
    assert (
        str(error)
        == "It breaks callers:\n  inputs/a/dtype: int64 becomes float32\n  inputs/b/dtype: int64 becomes float32"
    )


@pytest.mark.parametrize("odd", ["a text", {"path": "/"}, [1, None, ["x"]], 7])
def test_violations_that_are_none_are_passed_over(odd: object) -> None:
    assert api_error(422, {}, json.dumps({"violations": odd, "differences": odd}).encode()).violations == ()


@pytest.mark.parametrize(
    ("path", "name", "index"),
    [
        ("/inputs/x/0/12", "x", (0, 12)),
        ("/inputs/a~1b~0c", "a/b~c", ()),
        ("/inputs", None, ()),
        ("/outputs/0", None, ()),
        ("", None, ()),
    ],
)
def test_a_violation_knows_its_input_and_element(path: str, name: str | None, index: tuple[int, ...]) -> None:
    violation = Violation(path=path, expected="a", received="b", code="c")
    assert (violation.input, violation.index) == (name, index)


@pytest.mark.parametrize("text", ["-1", "1e3", "9" * 400, "\u0663", ""])
def test_a_wait_that_is_none_is_passed_over(text: str) -> None:
    assert api_error(503, {"retry-after": text}, b"{}").retry_after_seconds is None


def whole(error: client.ClientError) -> tuple[type, str, dict[str, Any]]:
    return type(error), str(error), vars(error)


@pytest.mark.parametrize(
    "error",
    [
        api_error(422, {"retry-after": "3"}, json.dumps(PROBLEM).encode()),
        client.ConnectionFailed("nobody", may_have_arrived=True, is_outcome_unknown=True),
        client.ConversionMismatch(reference="m:1", output="y", largest_difference=1.0, detail="far"),
        client.MoveNotFollowed(["h:1", "h:2"], trouble="nobody answers"),
        client.UnusableArgument("neither"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_reaches_another_process_whole(error: client.ClientError) -> None:
    # As a pool of processes sends it: by what __reduce_ex__ says, which is what copying goes by, too.
    assert whole(copy.copy(error)) == whole(error)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_an_intermediary_without_an_answer_is_told_from_a_gateway_that_refuses(status: int) -> None:
    from gateway.client.errors import is_of_an_intermediary

    assert is_of_an_intermediary(api_error(status, {}, b"<h1>Timeout</h1>"))
    assert not is_of_an_intermediary(api_error(status, {}, b'{"code": "registry_busy"}'))
