from typing import Any

import pytest

from gateway.web.access import ACTOR, LoopbackGate, LoopbackGuard
from registry.errors import ForeignOrigin, InvalidHost
from registry.roles import Caller, Role

LOCAL = {b"host": b"localhost"}


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (b"localhost", b""),
        (b"localhost:8000", b""),
        (b"127.0.0.1:8000", b""),
        (b"127.8.9.10", b""),
        (b"[::1]:8000", b""),
        (b"LocalHost:8000", b"http://localhost:8000"),
        (b"127.0.0.1:8000", b"http://127.0.0.1:8000"),
        (b"127.0.0.1", b"https://127.0.0.1"),
    ],
)
def test_loopback_names_with_our_own_origin_pass(host: bytes, origin: bytes) -> None:
    LoopbackGuard().check(host, origin)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (b"example.com", b""),
        (b"192.168.1.5:8000", b""),
        (b"localhost.example.com", b""),
        (b"0.0.0.0", b""),
        (b"127.0.0.1:8000", b"http://example.com"),
        (b"127.0.0.1:8000", b"http://127.0.0.1:8001"),
        (b"127.0.0.1:8000", b"null"),
        (b"127.0.0.1:8000", b"http://localhost:8000"),
    ],
)
def test_everything_else_is_foreign(host: bytes, origin: bytes) -> None:
    with pytest.raises(ForeignOrigin):
        LoopbackGuard().check(host, origin)


@pytest.mark.parametrize("host", [b"", b"x/abc?", b"a b", b"localhost:99999", b"localhost:", b"[::1", b"\xff", b"a\tb"])
def test_what_is_no_host_is_refused_as_such(host: bytes) -> None:
    with pytest.raises(InvalidHost):
        LoopbackGuard().check(host, b"")


def test_a_refusal_is_not_remembered_as_a_pass() -> None:
    guard = LoopbackGuard()
    guard.check(b"localhost", b"")
    for _ in range(2):
        with pytest.raises(ForeignOrigin):
            guard.check(b"localhost", b"http://example.com")


@pytest.mark.parametrize(("scope", "name"), [({}, "anonymous"), ({ACTOR: "ada"}, "ada")])
def test_without_tokens_whoever_passes_may_do_everything(scope: dict[str, Any], name: str) -> None:
    assert LoopbackGate().find(LOCAL, scope, 0.0) == Caller(name=name, role=Role.ADMIN)
