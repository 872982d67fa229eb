"""Requests that are sent again where a moment in which the machine stood still was answered, and not the request."""

from collections.abc import Callable

import httpx


def ask_again(ask: Callable[[], httpx.Response], *, status: int, code: str, times: int = 10) -> httpx.Response:
    """Return the first answer that is not this problem, or the last one of so many."""
    for _ in range(times):
        answer = ask()
        if answer.status_code != status or answer.json()["code"] != code:
            break
    return answer
