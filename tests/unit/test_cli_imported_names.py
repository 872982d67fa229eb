"""Names and texts of other servers, as this one takes them."""

import pytest

from gateway.cli.imports import Unreadable, alias_name, clashes, model_name, tidy, tidy_tags
from registry.names import parse_alias_name, parse_model_name


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("iris", "iris"),
        ("Dense Net/v2", "dense-net-v2"),
        ("../../etc/passwd", "etc-passwd"),
        ("a..b", "a.b"),
        ("_private_", "private"),
        ("x" * 127 + "--y", "x" * 127),
        ("Größe", "gr-e"),
    ],
)
def test_a_name_is_mapped_to_one_that_is_taken(theirs: str, ours: str) -> None:
    assert model_name(theirs) == ours
    assert parse_model_name(ours) == ours


@pytest.mark.parametrize(("theirs", "ours"), [("champion", "champion"), ("v2 Best!", "v2-best"), ("1st", "st")])
def test_so_is_an_aliass(theirs: str, ours: str) -> None:
    assert alias_name(theirs) == ours
    assert parse_alias_name(ours) == ours


@pytest.mark.parametrize("name", ["", "..", "日本", "--", "._-"])
def test_a_name_of_which_nothing_can_stay_is_refused(name: str) -> None:
    with pytest.raises(Unreadable):
        model_name(name)


def test_names_that_would_be_one_are_found() -> None:
    assert clashes(iter([("A", "a"), ("a", "a"), ("b", "b")])) == {"a": ["A", "a"]}


def test_texts_are_put_on_one_line_and_cut() -> None:
    assert tidy("a\nb\x1b[31m\u2028c", 100) == "a b [31m c"
    assert tidy_tags({"k" * 200: "v" * 2000, "\n": "lost"}) == {"k" * 128: "v" * 1024}
