"""Whole problem answers, as they must be."""

from typing import Any

import httpx


def violation(path: str, expected: str, received: str, code: str) -> dict[str, str]:
    return {"path": path, "expected": expected, "received": received, "code": code}


def assert_problem(answer: httpx.Response, status: int, **members: Any) -> None:
    """Compare an answer with the whole problem that it must be; ``title`` and ``type`` follow from the code."""
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body.pop("instance") == answer.headers["x-request-id"]
    assert isinstance(body.pop("title"), str)
    expected = {"type": f"/docs/problems#{members['code']}", "status": status, **members}
    assert (answer.status_code, body) == (status, expected)
