"""What every implementation of ``registry.ports.Registry`` keeps of access tokens."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from registry.errors import InternalError, InvalidRequest
from registry.events import Event, EventKind
from registry.ports import Registry
from registry.records import Page, Token
from registry.roles import Role
from tests.support.registries import DATABASES, NOON, fresh_registry

LATER = NOON + timedelta(days=1)


@pytest.fixture(params=list(DATABASES))
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    with fresh_registry(tmp_path, DATABASES[request.param]) as opened:
        yield opened


def token(id_: str, *, role: Role = Role.PREDICT, minutes: int = 0) -> Token:
    return Token(
        id=id_,
        name="ada",
        role=role,
        models=None,
        secret_sha256=id_[0] * 64,
        created_at=NOON + timedelta(minutes=minutes),
        created_by="root",
    )


def add(registry: Registry, *tokens: Token) -> None:
    with registry.writing() as transaction:
        for each in tokens:
            transaction.add_token(each)


def only(registry: Registry, id_: str) -> Token:
    with registry.reading() as catalog:
        (found,) = catalog.find_tokens([id_])
    return found


def test_an_empty_registry_has_no_tokens(registry: Registry) -> None:
    with registry.reading() as catalog:
        assert catalog.find_tokens(["a"]) == []
        assert catalog.find_tokens([]) == []
        assert catalog.list_tokens(limit=10) == Page(items=(), next=None)
        assert catalog.has_admin_token(at=NOON) is False


def test_a_token_comes_back_whole(registry: Registry) -> None:
    whole = replace(
        token("a", role=Role.PUBLISH),
        models="fraud-*",
        expires_at=LATER,
        revoked_at=LATER,
        revoked_by="bob",
        last_used_at=NOON,
    )
    add(registry, whole, token("b"))
    with registry.reading() as catalog:
        assert catalog.find_tokens(["a", "nosuch"]) == [whole]
        assert sorted(found.id for found in catalog.find_tokens(["a", "b"])) == ["a", "b"]


def test_tokens_are_listed_in_the_order_of_their_making(registry: Registry) -> None:
    c, a, b, d = token("c"), token("a", minutes=1), token("b", minutes=1), token("d", minutes=2)
    add(registry, d, b, a, c)
    with registry.reading() as catalog:
        assert catalog.list_tokens(limit=10) == Page(items=(c, a, b, d), next=None)
        assert catalog.list_tokens(limit=2) == Page(items=(c, a), next="a")
        assert catalog.list_tokens(limit=2, after="a") == Page(items=(b, d), next=None)
        with pytest.raises(InvalidRequest):
            catalog.list_tokens(limit=2, after="nosuch")


def test_a_public_id_is_given_once(registry: Registry) -> None:
    add(registry, token("a"))
    with pytest.raises(InternalError):
        add(registry, token("a", role=Role.ADMIN))
    assert only(registry, "a") == token("a")


def test_a_revocation_stays_as_it_was(registry: Registry) -> None:
    add(registry, token("a"), token("b"))
    for actor, at in (("bob", NOON), ("eve", LATER)):
        with registry.writing() as transaction:
            transaction.revoke_token("a", actor=actor, at=at)
            transaction.revoke_token("nosuch", actor=actor, at=at)
    assert only(registry, "a") == replace(token("a"), revoked_at=NOON, revoked_by="bob")
    assert only(registry, "b") == token("b")


def test_use_is_noted_and_never_put_back(registry: Registry) -> None:
    add(registry, token("a"), token("b"), token("c"))
    for ids, at in ((["a", "b"], LATER), (["a"], NOON), ([], NOON)):
        with registry.writing() as transaction:
            transaction.note_use(ids, at=at)
    assert [only(registry, id_).last_used_at for id_ in "abc"] == [LATER, LATER, None]


@pytest.mark.parametrize(
    ("change", "is_there"),
    [
        ({}, True),
        ({"role": Role.PUBLISH}, False),
        ({"expires_at": LATER}, True),
        ({"expires_at": NOON}, False),
        ({"revoked_at": NOON, "revoked_by": "bob"}, False),
    ],
)
def test_an_admin_is_there_if_an_admins_token_is_good(
    registry: Registry, change: dict[str, object], *, is_there: bool
) -> None:
    add(registry, replace(token("a", role=Role.ADMIN), **change))
    with registry.reading() as catalog:
        assert catalog.has_admin_token(at=NOON) is is_there


def test_tokens_in_use_are_good_ones_that_were_used_lately_the_last_first(registry: Registry) -> None:
    used = [
        replace(token(id_), last_used_at=NOON + timedelta(minutes=at)) for id_, at in (("a", 1), ("b", 3), ("c", 2))
    ]
    ended = replace(token("d"), last_used_at=NOON, expires_at=NOON)
    revoked = replace(token("e"), last_used_at=NOON, revoked_at=NOON)
    idle = replace(token("f"), last_used_at=NOON - timedelta(minutes=1))
    add(registry, *used, ended, revoked, idle, token("g"))
    with registry.reading() as catalog:
        assert catalog.list_used_tokens(since=NOON, at=NOON, limit=10) == [used[1], used[2], used[0]]
        assert catalog.list_used_tokens(since=NOON, at=NOON, limit=1) == [used[1]]


def test_an_event_may_be_about_no_model(registry: Registry) -> None:
    with registry.writing() as transaction:
        transaction.ensure_model("iris", actor="ada", at=NOON)
        transaction.add_event(EventKind.MODEL_CHANGED, model="iris", actor="ada", at=NOON, detail={})
        transaction.add_event(EventKind.TOKEN_REVOKED, model=None, actor="ada", at=NOON, detail={"token": "a"})
    with registry.reading() as catalog:
        assert [(event.model, event.kind) for event in catalog.list_events(after=0, limit=10)] == [
            ("iris", EventKind.MODEL_CHANGED),
            (None, EventKind.TOKEN_REVOKED),
        ]
        assert catalog.list_events(after=1, limit=10) == [
            Event(
                sequence=2,
                kind=EventKind.TOKEN_REVOKED,
                model=None,
                version=None,
                alias=None,
                actor="ada",
                at=NOON,
                detail={"token": "a"},
            )
        ]
