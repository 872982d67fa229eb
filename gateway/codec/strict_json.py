"""JSON as RFC 8259 has it, with the numbers as they were written.

1. Depth is measured on the bytes before anything recurses.
2. An integer literal becomes an ``int``, any other number the ``bytes`` of its literal: rounding is for those who know
   the dtype. ``-0`` is the integer zero, ``-0.0`` a decimal.
3. What two readers could understand differently is refused: keys that come twice, lone surrogates, ``NaN`` and
   ``Infinity``, numbers of absurd length.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from gateway.codec.limits import MAX_DEPTH, MAX_INTEGER_DIGITS, MAX_LISTS, MAX_NUMBER_CHARS
from registry.errors import (
    DuplicateKey,
    InvalidNumber,
    JsonTooDeep,
    TooManyElements,
    UndecodableBody,
    Violation,
)
from registry.names import quoted

# The closing quote may be missing, so that no quote is ever tried twice and the scan stays linear.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_SOME_TEXTS = re.compile(rb'(?:[^"]*+"[^"\\]*+(?:\\.[^"\\]*+)*+"?){1,256}', re.DOTALL)
"""A piece of a body that ends behind a string. Other threads have their turn between two, never within one."""

_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = bytes.maketrans(b"[]{}", b"\x01\xff\x01\xff")

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPED_BACKSLASH_OR_PAIR = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}",
)


class BareWord(str):
    """``NaN`` or its kin without quotation marks, where a dialect has them: of use in place of a float only."""

    __slots__ = ()


def parse_strictly(body: bytes, decoder: json.JSONDecoder | None = None) -> object:
    """Return the document as dicts, lists, str, bool, None, int, and bytes for the literals of decimals.

    Args:
        body: in UTF-8.
        decoder: from ``make_decoder``, where a dialect reads more into the same JSON.

    Raises:
        UndecodableBody: the body is not JSON in UTF-8, or a string of it is not text.
        TooManyElements: more than ``MAX_LISTS`` lists and objects: the interpreter reads them in one go.
        JsonTooDeep: more than ``MAX_DEPTH`` levels.
        InvalidNumber: a number that JSON does not have, or a literal past its limit.
        DuplicateKey: an object names a key twice.
    """
    depth, list_count = _nesting(body)
    if depth > MAX_DEPTH:
        raise JsonTooDeep(f"the body nests deeper than {MAX_DEPTH} levels")
    if list_count > MAX_LISTS:
        expected = f"at most {MAX_LISTS} lists and objects, where the body cannot be read at once for its faults"
        received = str(list_count)
        raise TooManyElements([Violation(path="", expected=expected, received=received, code=TooManyElements.code)])
    try:
        document = (decoder or _DECODER).decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UndecodableBody(f"the body is not UTF-8: see byte {error.start}") from error
    except json.JSONDecodeError as error:
        what = f"{error.msg}, at character {error.pos}" if body else "it is empty"
        raise UndecodableBody(f"the body is not JSON: {what}") from error
    if _SURROGATE.search(body) and _SURROGATE.search(_ESCAPED_BACKSLASH_OR_PAIR.sub(b"_", body)):
        raise UndecodableBody("the body is not JSON: a string holds a lone surrogate")
    return document


def _nesting(body: bytes) -> tuple[int, int]:
    """Return how deep a body nests, and how many lists and objects it has."""
    pieces = []
    end = 0
    while piece := _SOME_TEXTS.match(body, end):
        end = piece.end()
        pieces.append(_STRING.sub(b"", piece.group()).translate(None, _NOT_BRACKETS))
    pieces.append(body[end:].translate(None, _NOT_BRACKETS))  # what is left has no string
    brackets = b"".join(pieces)
    steps = np.frombuffer(brackets.translate(_STEPS), dtype=np.int8)
    return int(steps.cumsum(dtype=np.int64).max(initial=0)), int((steps > 0).sum())


def _integer(literal: str) -> int:
    if len(literal) - literal.startswith("-") > MAX_INTEGER_DIGITS:
        raise InvalidNumber(f"the integer {quoted(literal, limit=24)} has more than {MAX_INTEGER_DIGITS} digits")
    return int(literal)


def _decimal(literal: str) -> bytes:
    if len(literal) > MAX_NUMBER_CHARS:
        raise InvalidNumber(f"the number {quoted(literal, limit=24)} has more than {MAX_NUMBER_CHARS} characters")
    return literal.encode("ascii")


def _constant(word: str) -> object:
    raise InvalidNumber(f'{word} is not a JSON number: write "{word}", in quotes, for a float tensor')


def members_of(pairs: list[tuple[str, Any]]) -> Any:
    """Return an object with these members.

    Raises:
        DuplicateKey: it names a key twice.
    """
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise DuplicateKey(f"the key {quoted(twice)} stands twice in one object")
    return members


def make_decoder(
    *, word: Callable[[str], object] = _constant, members: Callable[[list[tuple[str, Any]]], Any] = members_of
) -> json.JSONDecoder:
    """Return a decoder for ``parse_strictly``.

    Args:
        word: makes something of a bare ``NaN``, ``Infinity`` or ``-Infinity``, or raises.
        members: makes something of the members of an object, by way of ``members_of``.
    """
    return json.JSONDecoder(parse_int=_integer, parse_float=_decimal, parse_constant=word, object_pairs_hook=members)


_DECODER = make_decoder()
