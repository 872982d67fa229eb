"""The console's cookie: when a browser that sends it is believed."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gateway.serving.token_verdicts import TokenVerdicts
from gateway.web.access import TokenGate
from gateway.web.attempts import Attempts
from gateway.web.cookies import presented_by_cookie, setting
from registry.credentials import draw_credential
from registry.errors import TooManyAttempts, Unauthenticated
from registry.roles import Caller, Role
from registry.tokens import Tokens
from tests.support.registries import HandClock, fresh_registry

HOST = {b"host": b"models.example:8000"}
HTTPS = {**HOST, b"x-forwarded-proto": b"https"}
COOKIE = {**HOST, b"cookie": b"sardonyx_console=good"}
MARKED = {**COOKIE, b"x-sardonyx-console": b"1"}
PAGE = {"method": "GET", "path": "/console/models/iris"}
PREDICT = {"method": "POST", "path": "/models/iris/predict"}
GOOD = b"Bearer good"


@pytest.mark.parametrize(
    ("headers", "scope"),
    [
        (COOKIE, PAGE),
        (COOKIE, {"method": "HEAD", "path": "/console"}),
        (MARKED, PREDICT),
        (MARKED, {}),
        (MARKED, {"method": "GET", "path": "/registry/models"}),
        ({**MARKED, b"sec-fetch-site": b"same-origin"}, PREDICT),
        ({**MARKED, b"origin": b"http://models.example:8000"}, PREDICT),
        ({**MARKED, b"origin": b"https://Models.Example:8000"}, PREDICT),
        ({**COOKIE, b"cookie": b"theme=dark; sardonyx_console=good; x=y"}, PAGE),
        ({**HTTPS, b"cookie": b"sardonyx_console=neighbour; __Host-sardonyx_console=good"}, PAGE),
        ({**HTTPS, b"cookie": b"__Host-sardonyx_console=good", b"x-forwarded-proto": b"HTTPS , http"}, PAGE),
    ],
    ids=lambda value: value.get("path", "") if "path" in value else "",
)
def test_the_cookie_counts(headers: dict[bytes, bytes], scope: dict[str, Any]) -> None:
    assert presented_by_cookie(headers, scope) == GOOD


@pytest.mark.parametrize(
    ("headers", "scope"),
    [
        (HOST, PAGE),
        ({**HOST, b"cookie": b""}, PAGE),
        ({**HOST, b"cookie": b"sardonyx_console="}, PAGE),
        ({**HOST, b"cookie": b"sardonyx_console"}, PAGE),
        ({**HOST, b"cookie": b"other=good"}, PAGE),
        ({**HOST, b"cookie": b"sardonyx_console=good; sardonyx_console=other"}, PAGE),
        ({**HOST, b"cookie": b"sardonyx_console=" + b"x" * 257}, PAGE),
        ({**HTTPS, b"cookie": b"sardonyx_console=good"}, PAGE),
        ({**HOST, b"cookie": b"__Host-sardonyx_console=good"}, PAGE),
        (COOKIE, PREDICT),
        (COOKIE, {}),
        (COOKIE, {"method": "GET", "path": "/registry/models"}),
        (COOKIE, {"method": "GET", "path": "/consoles"}),
        (COOKIE, {"method": "POST", "path": "/console/models/iris/plan"}),
        (COOKIE, {"method": "DELETE", "path": "/console/models/iris"}),
        ({**MARKED, b"x-sardonyx-console": b"0"}, PREDICT),
        ({**MARKED, b"origin": b"http://evil.example"}, PREDICT),
        ({**MARKED, b"origin": b"http://models.example:9000"}, PREDICT),
        ({**MARKED, b"origin": b"null"}, PREDICT),
        ({**MARKED, b"sec-fetch-site": b"cross-site"}, PREDICT),
        ({**MARKED, b"sec-fetch-site": b"same-site"}, PREDICT),
        ({**MARKED, b"sec-fetch-site": b"none"}, PREDICT),
        ({**MARKED, b"sec-fetch-site": b"cross-site", b"origin": b"http://models.example:8000"}, PREDICT),
    ],
)
def test_the_cookie_does_not_count(headers: dict[bytes, bytes], scope: dict[str, Any]) -> None:
    assert presented_by_cookie(headers, scope) is None


def test_it_is_kept_from_scripts_other_sites_and_plain_connections() -> None:
    assert setting("t", is_secure=False) == "sardonyx_console=t; Path=/; HttpOnly; SameSite=Strict"
    assert setting("t", is_secure=True) == "__Host-sardonyx_console=t; Path=/; HttpOnly; SameSite=Strict; Secure"
    assert setting("", is_secure=False) == "sardonyx_console=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[tuple[Tokens, Any]]:
    with fresh_registry(tmp_path) as registry:
        yield Tokens(registry, HandClock()), registry


def at_the_gate(
    tokens: tuple[Tokens, Any], work: Callable[[TokenGate], Coroutine[Any, Any, Any]], burst: int = 100
) -> Any:
    """Do something with a gate that knows the registry's tokens."""

    async def run() -> Any:
        with ThreadPoolExecutor(1) as executor:
            verdicts = TokenVerdicts(tokens[1], executor=executor, wall_clock=HandClock())
            return await work(TokenGate(verdicts, Attempts(burst=burst, per_second=0.0)))

    return asyncio.run(run())


def cookie(text: str) -> dict[bytes, bytes]:
    return {**HOST, b"cookie": b"sardonyx_console=" + text.encode()}


def test_who_brings_a_good_token_in_the_cookie_is_let_in_and_known_from_then_on(tokens: tuple[Tokens, Any]) -> None:
    made = tokens[0].create("ada", Role.ADMIN, actor="tests")

    async def work(gate: TokenGate) -> tuple[Any, Any, Any]:
        headers = cookie(made.text)
        first = gate.find(headers, PAGE, 0.0)
        admitted = await gate.admit(headers, PAGE)
        bearer = {**HOST, b"authorization": b"Bearer " + made.text.encode()}
        return first, admitted, (gate.find(headers, PAGE, 0.0), gate.find(bearer, {}, 0.0))

    ada = Caller(name="ada", role=Role.ADMIN, token=made.token.id)
    assert at_the_gate(tokens, work) == (None, ada, (ada, ada))


def test_authorization_goes_before_the_cookie_be_it_good_or_bad(tokens: tuple[Tokens, Any]) -> None:
    ada, eve = (tokens[0].create(name, Role.ADMIN, actor="tests").text for name in ("ada", "eve"))

    async def work(gate: TokenGate) -> tuple[str, bool]:
        both = {**cookie(ada), b"authorization": b"Bearer " + eve.encode()}
        admitted = await gate.admit(both, PAGE)
        with pytest.raises(Unauthenticated):
            await gate.admit({**cookie(ada), b"authorization": b"Bearer nonsense"}, PAGE)
        return admitted.name, gate.find({**cookie(ada), b"authorization": b""}, PAGE, 0.0) is None

    assert at_the_gate(tokens, work) == ("eve", True)


def test_bad_cookies_are_counted_as_bad_tokens_are(tokens: tuple[Tokens, Any]) -> None:
    async def work(gate: TokenGate) -> None:
        scope = {**PAGE, "client": ("192.0.2.7", 1)}
        for text in (draw_credential().reveal(), "x", "\u00ff", "sardonyx_a_b"):
            with pytest.raises(Unauthenticated):
                await gate.admit(cookie(text), scope)
        with pytest.raises(TooManyAttempts):
            await gate.admit(cookie("x"), scope)

    at_the_gate(tokens, work, burst=4)
