from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import InvalidName, VersionNotFound
from registry.names import parse_alias_name, parse_model_name, parse_version_number, quoted

SIGNS = st.text(st.sampled_from("abz09._-/\\%@: ~\0\n\u0430A"), max_size=8)
"""Short texts of what names are made of, and of what they are mistaken for."""


@pytest.mark.parametrize("text", ["a", "0", "iris", "iris-2.1_b", "a.b", "x" * 128])
def test_a_models_name_is_lower_case_and_short(text: str) -> None:
    assert parse_model_name(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ".",
            "..",
            "a..b",
            "../x",
            "a/b",
            "a\\b",
            "/etc",
            "-a",
            "a-",
            "_a",
            ".a",
            "a.",
            "Iris",
            "a b",
            " a",
            "a\n",
        ),
        *("a\0b", "%2e", "a%2fb", "a@b", "a:1", "\u0430", "\u00e9", "\uff41", "\ud800", "x" * 129, "~", "con "),
    ],
)
def test_nothing_else_is_a_models_name(text: str) -> None:
    with pytest.raises(InvalidName):
        parse_model_name(text)


@pytest.mark.parametrize("text", ["", "1", "-", "A", "a_b", "a.b", "a/b", "a" * 64, "a\n", "\u0430"])
def test_an_alias_is_stricter_still(text: str) -> None:
    with pytest.raises(InvalidName):
        parse_alias_name(text)


@pytest.mark.parametrize("text", ["", "0", "01", "-1", "+1", "1e3", "1.0", " 1", "1\n", "1_000", "\u0967", "1" * 10])
def test_a_version_is_a_decimal_of_one_to_nine_digits(text: str) -> None:
    with pytest.raises(VersionNotFound):
        parse_version_number(text)


@given(SIGNS)
def test_a_name_that_is_taken_is_one_part_of_a_path_a_url_and_a_log_line(text: str) -> None:
    try:
        name = parse_model_name(text)
    except InvalidName:
        return
    assert PurePosixPath("/models", name).parent == PurePosixPath("/models")
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-")


@given(st.text())
def test_what_is_quoted_back_is_one_short_line_of_ascii(text: str) -> None:
    quote = quoted(text)
    assert quote.isascii()
    assert quote.isprintable()
    assert len(quote) <= 64 * len("\\U00000000") + len("'...'")
