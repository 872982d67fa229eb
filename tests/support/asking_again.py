"""Requests that are sent again where a moment in which the machine stood still was answered, and not the request."""

from collections.abc import Callable

import httpx

from tests.support.gateway_process import wait_until


def ask_again(ask: Callable[[], httpx.Response], *, status: int, code: str) -> httpx.Response:
    """Return the first answer that is not this problem; fail if there is none."""
    answers: list[httpx.Response] = []

    def is_another() -> bool:
        answers.append(ask())
        return answers[-1].status_code != status or answers[-1].json()["code"] != code

    wait_until(is_another)
    return answers[-1]
