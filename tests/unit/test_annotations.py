"""Which descriptions, tags and reasons can be kept."""

from collections.abc import Mapping

import pytest

from registry.annotations import check_annotations
from registry.errors import InvalidRequest, Violation


@pytest.mark.parametrize(
    ("description", "tags", "reason"),
    [
        pytest.param(None, None, None, id="nothing"),
        pytest.param("", {}, "", id="empty"),
        pytest.param("d" * 4096, {"k" * 128: "v" * 1024}, "r" * 4096, id="the longest"),
        pytest.param("\u2713 \U0001f338 \u00e9", {str(number): "" for number in range(64)}, "\u4e00", id="any script"),
    ],
)
def test_what_can_be_kept_passes(description: str | None, tags: Mapping[str, str] | None, reason: str | None) -> None:
    check_annotations(description=description, tags=tags, reason=reason)


def violation(path: str, expected: str, received: str, code: str) -> Violation:
    return Violation(path=path, expected=expected, received=received, code=code)


NO_CONTROLS = "text without control characters"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        pytest.param(
            {"description": "d" * 4097},
            violation("/description", "at most 4096 characters", "4097 characters", "too_long"),
            id="long description",
        ),
        pytest.param(
            {"description": "a\x00"}, violation("/description", NO_CONTROLS, "U+0000", "control_character"), id="NUL"
        ),
        pytest.param(
            {"description": "a\u2028b"},
            violation("/description", NO_CONTROLS, "U+2028", "control_character"),
            id="line separator",
        ),
        pytest.param(
            {"reason": "\x1b[31m"}, violation("/reason", NO_CONTROLS, "U+001B", "control_character"), id="escape"
        ),
        pytest.param(
            {"tags": {"k": "\ud800"}}, violation("/tags/k", NO_CONTROLS, "U+D800", "control_character"), id="surrogate"
        ),
        pytest.param(
            {"tags": {"a/b\n": "v"}},
            violation("/tags/a~1b\\x0a", f"a key of {NO_CONTROLS}", "U+000A", "control_character"),
            id="key with a line end",
        ),
        pytest.param({"tags": {"": "v"}}, violation("/tags/", "a key", "nothing", "too_short"), id="empty key"),
        pytest.param(
            {"tags": {"k" * 129: "v"}},
            violation(f"/tags/{'k' * 64}...", "a key of at most 128 characters", "129 characters", "too_long"),
            id="long key",
        ),
        pytest.param(
            {"tags": {"k": "v" * 1025}},
            violation("/tags/k", "at most 1024 characters", "1025 characters", "too_long"),
            id="long value",
        ),
        pytest.param(
            {"tags": {str(number): "" for number in range(65)}},
            violation("/tags", "at most 64 tags", "65 tags", "too_many"),
            id="many tags",
        ),
    ],
)
def test_what_cannot_be_kept_is_named(words: dict[str, object], wanted: Violation) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_annotations(**words)
    assert list(caught.value.violations) == [wanted]
    assert caught.value.detail == f"{wanted.path}: expected {wanted.expected}, received {wanted.received}"


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_annotations(description="\n", reason="\t", tags={"k": "\r", "l": "ok", "\x01": "\x02"})
    assert [fault.path for fault in caught.value.violations] == [
        "/description",
        "/reason",
        "/tags/k",
        "/tags/\\x01",
        "/tags/\\x01",
    ]
    assert caught.value.detail.endswith("(and 4 more)")
