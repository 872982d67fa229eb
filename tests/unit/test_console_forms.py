"""What the console reads of forms and links, and the forms that it makes to take something back."""

import pytest

from gateway.web.console.forms import parse_form
from gateway.web.console.move_forms import linked, read_move, read_rollback, restoring
from gateway.web.console.moving import Undo, undo_of
from gateway.web.console.sign_in import place_or_home
from registry.errors import InvalidName, InvalidRequest, UndecodableBody
from registry.promotion import UNSET, AliasMove, Proposal
from registry.records import Alias, Canary, Move, MoveKind, Shadow
from tests.support.registries import NOON

CANARY = Canary(version=4, percent=2.5, max_error_rate=0.01, max_latency_seconds=0.25)


def alias(version: int, generation: int, *, canary: Canary | None = None, shadow: Shadow | None = None) -> Alias:
    return Alias(
        model="iris",
        name="production",
        version=version,
        canary=canary,
        shadow=shadow,
        generation=generation,
        updated_at=NOON,
    )


def moved(before: Alias, after: Alias, kind: MoveKind = MoveKind.PROMOTE) -> AliasMove:
    move = Move(
        id=9,
        number=2,
        model="iris",
        alias="production",
        from_version=before.version,
        to_version=after.version,
        kind=kind,
        undoes=None,
        actor="ada",
        reason="",
        at=NOON,
    )
    return AliasMove(alias=after, move=None if before.version == after.version else move, sequence=9)


def test_a_forms_fields_are_read_without_what_is_blank() -> None:
    body = b"token=+a%2Bb+&reason=%C3%A4+%26+%3C&empty=&blank=+++"
    assert parse_form(body) == {"token": "a+b", "reason": "\u00e4 & <"}


@pytest.mark.parametrize(
    "body",
    [b"a=%ff", b"a=1&a=2", b"\xff=1", b"&".join(b"f%d=1" % number for number in range(65))],
    ids=["not UTF-8", "one field twice", "raw bytes", "too many fields"],
)
def test_what_is_no_form_of_ours_is_refused(body: bytes) -> None:
    with pytest.raises(UndecodableBody):
        parse_form(body)


@pytest.mark.parametrize(
    "place",
    ["/console", "/console/models/iris", "/console?q=a%20b", "/console/events?before=7", "/console/models/a@b:c"],
)
def test_a_place_below_the_console_is_gone_back_to(place: str) -> None:
    assert place_or_home(place) == place


@pytest.mark.parametrize(
    "place",
    [
        "",
        "/",
        "/registry/models",
        "//evil.example/console",
        "https://evil.example/console",
        "/consoles",
        "/console.evil.example",
        "/console@evil.example",
        "/console/\\evil.example",
        "/console/a\r\nset-cookie: x=y",
        "/console/\u00e4",
        "/console/sign-in?next=/console",
        "/console/" + "x" * 1024,
    ],
)
def test_any_other_place_is_the_home_page(place: str) -> None:
    assert place_or_home(place) == "/console"


def test_what_a_link_does_not_name_is_not_asked_for() -> None:
    assert read_move({"version": "3"}).proposal() == Proposal(version=3)


def test_a_link_names_a_canary_with_its_limits_and_a_shadow() -> None:
    form = read_move(
        {
            "alias": "blue",
            "version": "3",
            "expected_generation": "7",
            "canary": "4",
            "canary_percent": "2.5",
            "max_error_percent": "1",
            "max_latency_ms": "250",
            "shadow": "5",
            "shadow_percent": "100",
            "unknown": "x",
        }
    )
    expected = Proposal(version=3, expected_generation=7, canary=CANARY, shadow=Shadow(version=5, percent=100.0))
    assert (form.alias, form.proposal()) == ("blue", expected)


def test_a_field_that_was_left_empty_says_nothing() -> None:
    fields = {"version": "3", "canary": "4", "canary_percent": "5", "max_error_percent": "", "max_latency_ms": " "}
    assert read_move(fields).proposal() == Proposal(version=3, canary=Canary(version=4, percent=5.0))


def test_dropping_is_something_else_than_not_naming() -> None:
    proposal = read_move({"version": "3", "drop_canary": "1"}).proposal()
    assert (proposal.canary, proposal.shadow) == (None, UNSET)


@pytest.mark.parametrize(
    ("fields", "paths"),
    [
        ({}, ["/version"]),
        ({"version": "x", "canary": "-1"}, ["/version", "/canary"]),
        ({"version": "1000000000"}, ["/version"]),
        ({"version": "1", "max_latency_ms": "nan"}, ["/max_latency_ms"]),
        ({"version": "1", "reason": "x" * 1025}, ["/reason"]),
        ({"version": "1", "expected_generation": "1.5"}, ["/expected_generation"]),
    ],
)
def test_every_fault_of_a_form_is_named(fields: dict[str, str], paths: list[str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_move(fields)
    assert [violation.path for violation in caught.value.violations] == paths


def test_a_canary_needs_a_share() -> None:
    with pytest.raises(InvalidRequest, match="canary_percent"):
        read_move({"version": "1", "canary": "2"}).proposal()


@pytest.mark.parametrize("name", ["<script>", "UP", "a/b", "1a"])
def test_an_aliass_name_is_one(name: str) -> None:
    with pytest.raises(InvalidName):
        read_rollback({"alias": name})


def test_a_plain_promotion_is_undone_by_a_rollback_to_where_it_came_from() -> None:
    before, after = alias(1, 4), alias(2, 5)
    fields = {"alias": "production", "to": "1", "expected_generation": "5"}
    expected = Undo(action="/console/models/iris/rollback", fields=fields, words="Undo: back to version 1")
    assert undo_of(before, moved(before, after)) == expected


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (alias(1, 4, canary=CANARY), alias(2, 5), MoveKind.PROMOTE),
        (alias(1, 4, shadow=Shadow(version=7, percent=0.1)), alias(2, 5), MoveKind.PROMOTE),
        (alias(2, 4), alias(1, 5), MoveKind.ROLLBACK),
        (alias(1, 4), alias(1, 5, canary=CANARY), MoveKind.PROMOTE),
        (alias(1, 4, canary=CANARY, shadow=Shadow(version=7, percent=1)), alias(1, 5), MoveKind.PROMOTE),
    ],
    ids=["a canary went", "a shadow went", "a rollback", "a canary came", "both were dropped"],
)
def test_everything_else_is_undone_by_asking_for_what_was(before: Alias, after: Alias, kind: MoveKind) -> None:
    undo = undo_of(before, moved(before, after, kind))
    assert undo is not None
    asked = read_move(undo.fields).proposal()
    expected = Proposal(
        version=before.version,
        expected_generation=after.generation,
        allow_breaking=True,
        canary=before.canary,
        shadow=before.shadow,
    )
    takes_back = kind is MoveKind.PROMOTE and before.version != after.version
    fields = restoring(before, after, takes_back=takes_back)
    assert (undo.action, undo.fields, asked) == ("/console/models/iris/plan", fields, expected)


@pytest.mark.parametrize("seconds", [0.07, 0.08, 1 / 3, 1e-6, 0.12345678901234568])
@pytest.mark.parametrize("rate", [0.0, 0.07, 0.29, 1 / 3, 1.0, 0.12345678901234568])
def test_a_canarys_limits_come_back_to_the_last_digit(rate: float, seconds: float) -> None:
    canary = Canary(version=4, percent=2.5, max_error_rate=rate, max_latency_seconds=seconds)
    fields = restoring(alias(1, 4, canary=canary), alias(2, 5))
    assert read_move(fields).proposal().canary == canary


def test_a_link_says_what_is_to_become_of_an_alias_and_nothing_else() -> None:
    asked = {"alias": "blue", "version": "3", "drop_canary": "1", "reason": "slow"}
    assert linked({**asked, "allow_breaking": "1", "takes_back": "1", "hx-post": "/elsewhere"}) == asked


def test_there_is_no_undo_of_a_first_promotion_and_of_what_changed_nothing() -> None:
    same = alias(1, 4)
    assert (undo_of(None, moved(alias(1, 4), alias(2, 5))), undo_of(same, moved(same, same))) == (None, None)
