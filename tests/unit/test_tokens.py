"""Making and revoking tokens, on a real database and a clock that stands still."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from registry.credentials import parse_credential
from registry.errors import InvalidName, InvalidRequest, ServiceError, TokenNotFound
from registry.events import Event, EventKind
from registry.ports import Registry
from registry.records import Token
from registry.roles import Caller, Role
from registry.tokens import NewToken, Tokens, parse_expiry
from tests.support.registries import NOON, HandClock, fresh_registry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with fresh_registry(tmp_path) as opened:
        yield opened


def events_of(registry: Registry) -> list[Event]:
    with registry.reading() as catalog:
        return list(catalog.list_events(after=0, limit=10))


def test_a_token_is_made_with_all_that_was_asked_for_and_listed_without_its_secret(registry: Registry) -> None:
    tokens = Tokens(registry, HandClock())
    made = tokens.create("fraud team", Role.PUBLISH, actor="ada", models="fraud-*", expires="90d")
    credential = parse_credential(made.text)
    assert credential is not None
    assert made.token == Token(
        id=credential.id,
        name="fraud team",
        role=Role.PUBLISH,
        models="fraud-*",
        secret_sha256=credential.secret_sha256,
        created_at=NOON,
        created_by="ada",
        expires_at=NOON + timedelta(days=90),
    )
    assert made.token.as_caller() == Caller(name="fraud team", role=Role.PUBLISH, models="fraud-*", token=credential.id)
    assert tokens.list_page(limit=10).items == (made.token,)
    assert credential.secret not in repr(made)
    assert credential.secret_sha256 not in repr(made)


def test_making_and_revoking_are_events_and_revoking_again_is_none(registry: Registry) -> None:
    clock = HandClock()
    tokens = Tokens(registry, clock)
    made = tokens.create("ada", Role.PREDICT, actor="root", expires="2026-06-01").token
    clock.moment = NOON + timedelta(hours=1)
    revoked = tokens.revoke(made.id, actor="bob")
    clock.moment = NOON + timedelta(hours=2)
    assert tokens.revoke(made.id, actor="eve") == revoked
    assert (revoked.revoked_at, revoked.revoked_by) == (NOON + timedelta(hours=1), "bob")
    detail = {
        "token": made.id,
        "name": "ada",
        "role": "predict",
        "models": None,
        "expires_at": "2026-06-01T00:00:00Z",
    }
    assert events_of(registry) == [
        Event(
            sequence=number,
            kind=kind,
            model=None,
            version=None,
            alias=None,
            actor=actor,
            at=NOON + timedelta(hours=number - 1),
            detail=detail,
        )
        for number, kind, actor in [(1, EventKind.TOKEN_CREATED, "root"), (2, EventKind.TOKEN_REVOKED, "bob")]
    ]


def test_what_was_never_made_cannot_be_revoked(registry: Registry) -> None:
    with pytest.raises(TokenNotFound) as refused:
        Tokens(registry, HandClock()).revoke("nosuch", actor="ada")
    assert refused.value.detail == "there is no token 'nosuch': 'sardonyx token list' shows their ids"
    assert events_of(registry) == []


def test_the_last_admin_can_be_revoked(registry: Registry) -> None:
    tokens = Tokens(registry, HandClock())
    tokens.revoke(tokens.create("ada", Role.ADMIN, actor="root").token.id, actor="ada")
    with registry.reading() as catalog:
        assert not catalog.has_admin_token(at=NOON)


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"name": ""}, InvalidName),
        ({"name": "x" * 65}, InvalidName),
        ({"name": " ada"}, InvalidName),
        ({"name": "a\nda"}, InvalidName),
        ({"models": "[a]"}, InvalidRequest),
        ({"models": "iris", "role": Role.ADMIN}, InvalidRequest),
        ({"expires": "soon"}, InvalidRequest),
    ],
)
def test_a_malformed_wish_makes_nothing(
    registry: Registry, asked: dict[str, object], error: type[ServiceError]
) -> None:
    wish = {"name": "ada", "role": Role.PREDICT, **asked}
    with pytest.raises(error):
        make(Tokens(registry, HandClock()), **wish)
    assert events_of(registry) == []


def make(tokens: Tokens, *, name: str, role: Role, **wishes: str) -> NewToken:
    return tokens.create(name, role, actor="root", **wishes)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90d", NOON + timedelta(days=90)),
        ("12h", NOON + timedelta(hours=12)),
        ("2026-05-18", datetime(2026, 5, 18, tzinfo=UTC)),
        ("2026-05-18T10:00:00Z", datetime(2026, 5, 18, 10, tzinfo=UTC)),
        ("2026-05-18T10:00:00+02:00", datetime(2026, 5, 18, 8, tzinfo=UTC)),
    ],
)
def test_an_end_is_a_span_a_date_or_a_moment(text: str, moment: datetime) -> None:
    assert parse_expiry(text, NOON) == moment


@pytest.mark.parametrize("text", ["", "0d", "90", "d", "1e3d", "-1d", "999999d", "2026-05-18T10:00:00", "2026-13-01"])
def test_what_is_no_end_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="is no end of a token"):
        parse_expiry(text, NOON)


@pytest.mark.parametrize("text", ["2026-05-17", "2026-05-17T12:00:00Z"])
def test_an_end_that_has_passed_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="has passed already"):
        parse_expiry(text, NOON)


def test_a_token_is_good_until_its_end_or_its_revocation() -> None:
    token = Token(
        id="a", name="ada", role=Role.PREDICT, models=None, secret_sha256="", created_at=NOON, created_by="root"
    )
    ends = Token(
        **{name: getattr(token, name) for name in ("id", "name", "role", "models", "secret_sha256")},
        created_at=NOON,
        created_by="root",
        expires_at=NOON + timedelta(hours=1),
    )
    moments = [NOON, NOON + timedelta(minutes=59, seconds=59), NOON + timedelta(hours=1)]
    assert [token.is_good(moment) for moment in moments] == [True, True, True]
    assert [ends.is_good(moment) for moment in moments] == [True, True, False]
