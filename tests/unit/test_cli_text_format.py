"""Configurations of models in Protocol Buffers' text format, as people and programs write them."""

from typing import Any

import pytest

from gateway.cli.text_format import MAX_TEXT_BYTES, NotTextFormat, read_text_format

CONFIG = """
# a comment with a } in it
name: "dense" 'net'
max_batch_size: 8
input [
  { name: "x", data_type: TYPE_FP32; dims: [ -1, 3 ] },
  { name: 'y' dims: 1 dims: 2 reshape: { shape: [ ] } }
]
instance_group < kind: KIND_CPU count: 2 >
version_policy: { specific { versions: [1, 3] } }
"""


def test_a_configuration_is_read_whole() -> None:
    assert read_text_format(CONFIG) == {
        "name": ["densenet"],
        "max_batch_size": ["8"],
        "input": [
            {"name": ["x"], "data_type": ["TYPE_FP32"], "dims": ["-1", "3"]},
            {"name": ["y"], "dims": ["1", "2"], "reshape": [{"shape": []}]},
        ],
        "instance_group": [{"kind": ["KIND_CPU"], "count": ["2"]}],
        "version_policy": [{"specific": [{"versions": ["1", "3"]}]}],
    }


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r'"a\"b"', 'a"b'),
        (r"'\x41\102\n'", "AB\n"),
        (r'"\303\251"', "é"),
        (r'"\u00e9\U0001F600"', "é😀"),
        (r'"\777"', "\ufffd"),
        ('"' + "\\U7fffffff" + '"', "?"),
        (r'"\q"', "q"),
        ('""', ""),
    ],
)
def test_escapes_stand_for_octets_and_characters(written: str, meant: str) -> None:
    assert read_text_format(f"a: {written}") == {"a": [meant]}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a", "line 1: 'a' has no value"),
        ("a:", "line 1: 'a' has no value"),
        ("\na: }", "line 2: 'a' has no value"),
        ("a: [1 2]", "line 1: the list of 'a' goes on without a comma"),
        ("a: [1,", "line 1: 'a' has no value"),
        ("a {", "line 1: a message has no '}'"),
        ("a { b: 1 >", "line 1: '>' is no field's name"),
        ("}", "line 1: '}' is no field's name"),
        ("1: 2", "line 1: '1' is no field's name"),
        ("a [1]", "line 1: 'a' has no value"),
        ('a: "x\n"', "line 1: '\"x\\n\"' is not text format"),
        ("a: \0", "line 1: '\\x00' is not text format"),
        ("a{" * 40, "line 1: messages lie more than 32 deep"),
    ],
    ids=range(13),
)
def test_what_is_not_text_format_is_refused_with_its_line(text: str, why: str) -> None:
    with pytest.raises(NotTextFormat) as caught:
        read_text_format(text)
    assert str(caught.value) == why


@pytest.mark.parametrize("text", ["a: 1\n" * (MAX_TEXT_BYTES // 5 + 1), "a: 1 " * 100_001], ids=["long", "many"])
def test_what_is_too_large_is_refused(text: str) -> None:
    with pytest.raises(NotTextFormat):
        read_text_format(text)


def test_a_field_that_comes_again_keeps_both_values() -> None:
    again: Any = read_text_format("a: 1 b { c: 2 } a: 3")

    assert again == {"a": ["1", "3"], "b": [{"c": ["2"]}]}
