"""Protocol Buffers' text format, as far as a model's configuration needs it.

1. It is read without a schema: a message is a mapping of field names to lists of values, in the order of the text. A
   value is text as it stands (``TYPE_FP32``, ``8``, ``true``), a string that was quoted, or a message.
2. Sizes are bounded: of the text, of how deep messages lie in each other, and of how many values there are. Reading is
   one pass over the text, as deep as its messages.
3. What is not text format is refused with its line; nothing is guessed.

Source: Protocol Buffers documentation, Text Format Language Specification.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAX_TEXT_BYTES: Final = 1024 * 1024
_MAX_DEPTH: Final = 32
_MAX_VALUES: Final = 100_000

_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r\n\f\v]+|\#[^\n]*)
      | (?P<string>"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*')
      | (?P<word>[A-Za-z0-9_.+-]+)
      | (?P<sign>[{}<>\[\]:,;/])""",
    re.VERBOSE,
)
_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{1,2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[0-7]{1,3}|.)", re.DOTALL)
_SIMPLE: Final = {"n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "f": 12, "v": 11}
_CLOSING: Final = {"{": "}", "<": ">"}

Message = dict[str, "list[str | Message]"]


class NotTextFormat(ValueError):  # noqa: N818 - the name says what happened
    """The text is not what it should be; the message says where."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int


def read_text_format(text: str) -> Message:
    """Return the message that a text stands for.

    Raises:
        NotTextFormat: it is none, or it is too large or too deep.
    """
    if len(text) > MAX_TEXT_BYTES:
        raise NotTextFormat(f"longer than {MAX_TEXT_BYTES} characters")
    return _Reader(text).read()


class _Reader:
    """One pass over one text."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next: _Token | None = next(self._tokens, None)
        self._line = 1
        self._values = 0

    def read(self) -> Message:
        """Read the whole text."""
        return self._message("", depth=0)

    def _message(self, closing: str, *, depth: int) -> Message:
        """Read fields until the message ends, or the text where nothing has to close it."""
        if depth > _MAX_DEPTH:
            raise self._fault(f"messages lie more than {_MAX_DEPTH} deep")
        message: Message = {}
        while not (closing and self._skip(closing)):
            token = self._next
            if token is None:
                if closing:
                    raise self._fault(f"a message has no {closing!r}")
                return message
            if token.kind != "word" or _NAME.fullmatch(token.text) is None:
                raise self._fault(f"{token.text[:40]!r} is no field's name")
            self._advance()
            message.setdefault(token.text, []).extend(self._values_of(token.text, depth=depth))
            self._skip(",;")
        return message

    def _values_of(self, name: str, *, depth: int) -> Iterator["str | Message"]:
        """Yield the values of one field: one, or those of a list.

        Only before a message, or a list of them, may the colon be left out.
        """
        has_colon = self._skip(":")
        if not self._skip("["):
            yield self._value(name, has_colon=has_colon, depth=depth)
            return
        while not self._skip("]"):
            yield self._value(name, has_colon=has_colon, depth=depth)
            if not self._skip(",") and not self._is_at("]"):
                raise self._fault(f"the list of {name[:40]!r} goes on without a comma")

    def _value(self, name: str, *, has_colon: bool, depth: int) -> "str | Message":
        self._values += 1
        if self._values > _MAX_VALUES:
            raise self._fault(f"more than {_MAX_VALUES} values")
        for opening, closing in _CLOSING.items():
            if self._skip(opening):
                return self._message(closing, depth=depth + 1)
        if not has_colon or self._next is None or self._next.kind == "sign":
            raise self._fault(f"{name[:40]!r} has no value")
        if self._next.kind == "string":
            return self._text()
        word = self._next.text
        self._advance()
        return word

    def _text(self) -> str:
        """Read a string, and those right behind it, which belong to it."""
        octets = bytearray()
        while self._next is not None and self._next.kind == "string":
            octets += _unescaped(self._next.text[1:-1])
            self._advance()
        return octets.decode("utf-8", "replace")

    def _is_at(self, sign: str) -> bool:
        return self._next is not None and self._next.kind == "sign" and self._next.text == sign

    def _skip(self, signs: str) -> bool:
        """Go past one of these signs, if it is next."""
        is_there = any(self._is_at(sign) for sign in signs)
        if is_there:
            self._advance()
        return is_there

    def _advance(self) -> None:
        if self._next is not None:
            self._line = self._next.line
        self._next = next(self._tokens, None)

    def _fault(self, why: str) -> NotTextFormat:
        return NotTextFormat(f"line {self._line if self._next is None else self._next.line}: {why}")


def _tokens(text: str) -> Iterator[_Token]:
    line = place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise NotTextFormat(f"line {line + 1}: {text[place : place + 20]!r} is not text format")
        kind = str(found.lastgroup)
        if kind != "blank":
            yield _Token(kind, found[0], line + 1)
        line += found[0].count("\n")
        place = found.end()


def _unescaped(text: str) -> bytes:
    octets = bytearray()
    place = 0
    for escape in _ESCAPE.finditer(text):
        octets += text[place : escape.start()].encode("utf-8", "replace")
        octets += _octets_of(escape[1])
        place = escape.end()
    return bytes(octets + text[place:].encode("utf-8", "replace"))


def _octets_of(escape: str) -> bytes:
    """Return what stands for an escape: an octet, or a character in UTF-8."""
    kind = escape[0]
    if kind == "x" and len(escape) > 1:
        return bytes([int(escape[1:], 16)])
    if kind in "uU" and len(escape) > 1:
        code = int(escape[1:], 16)
        return chr(code).encode("utf-8", "replace") if code <= sys.maxunicode else b"?"
    if kind in "01234567":
        return bytes([int(escape, 8) & 0xFF])
    return bytes([_SIMPLE[kind]]) if kind in _SIMPLE else escape.encode("utf-8", "replace")
