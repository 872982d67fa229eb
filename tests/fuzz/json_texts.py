"""JSON that is nearly right: documents changed as trees, and written as no honest writer would.

A document is a tree of ``list``, ``Members`` (an object's, of which two may have one key), ``Text`` (written as it
stands), ``str``, numbers, booleans and None.
"""

import json
from collections.abc import Sequence
from random import Random
from typing import Any

from tests.fuzz.mutation import mutate, number

_LEAVES = (
    *("0", "-0", "-0.0", "1", "1.0", "1e2", "-1E+2", "0.1", "16777217", "2049", "1e-45", "255", "65519", "3.4e38"),
    *("16777217.0000000000000000001", "16777216.9999999999999999999", "2049.0000000000000000000001", "1e308", "5e-324"),
    *("300", "65520", "9" * 20, "1" * 21, "1e20", "1e39", "1e400", "1e-400", "-1e400", "01", "1.", ".5", "+1", "0x10"),
    *("NaN", "Infinity", "-Infinity", "nan", "null", "true", "false", "True", "undefined", "'a'", "0." + "1" * 1_097),
    *("0." + "1" * 1_099, "1" * 5_000, "-" + "0" * 30, "1e" + "9" * 30, "1_000", "1e+", "٣", "1\x00"),
    *('"NaN"', '"Infinity"', '"-Infinity"', '"nan"', '""', '"a"', '"\\ud83d\\ude00"', '"\\ud800"', '"\\udc00\\ud800"'),
    *('"\\""', '"\\u0000"', '"\\q"', '"1"', '"\x01"', '"\t"', '"\\ud83d\\"', "{}", "[]", "[[]]", "[{}]", "{", "]", ""),
    *('{"b64":"aGk="}', '{"b64":"/w=="}', '{"b64":"a"}', '{"b64":1}', '{"shape":[0],"data":[]}', '{"\\u0062":1}'),
    *('{"shape":[4611686018427387904,0],"data":[]}', '{"shape":[-1],"data":[1]}', '{"shape":[],"data":[1]}'),
)
_SPACES = ("", "", "", " ", "\n", "\t ", "\r\n")
_DEPTHS = (1, 2, 3, 8, 28, 31, 32, 33, 64, 1_000, 100_000)
_LENGTHS = (2, 2, 2, 3, 3, 10, 10, 100, 1_000, 20_000)
_MOST_NODES = 40_000
"""Of what is repeated: a tree that grows twice would outgrow everything."""
_TOKENS = (*b'[]{},:"\\', b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"NaN", b"\\u0000", b"e", b"-", b".", b"\x00")
TOKENS = tuple(token if isinstance(token, bytes) else bytes([token]) for token in _TOKENS)


class Text(str):
    """JSON as it stands."""

    __slots__ = ()


class Members(list[tuple[Any, Any]]):
    """The members of an object."""

    __slots__ = ()


def tree_of(value: Any) -> Any:
    """Return the tree of a JSON value."""
    if isinstance(value, dict):
        return Members((key, tree_of(inner)) for key, inner in value.items())
    return [tree_of(inner) for inner in value] if isinstance(value, list) else value


class Documents:
    """Makes bodies out of right ones.

    Args:
        values: right ones, as JSON values.
        words: keys and texts that mean something here.
    """

    def __init__(self, values: Sequence[Any], words: Sequence[str]) -> None:
        self._trees = [tree_of(value) for value in values]
        self._words = tuple(words)
        self._texts = [json.dumps(value).encode() for value in values]

    def draw(self, random: Random) -> bytes:
        """Return a body; one in six is a right one."""
        tree = random.choice(self._trees)
        for _ in range(random.choice((0, 0, 1, 1, 1, 1, 1, 2, 2, 4))):
            tree = self._changed(random, tree)
        body = write(random, tree).encode("utf-8", "surrogatepass")
        if random.random() < 0.15:
            body = mutate(random, body, TOKENS, self._texts)
        return body

    def _changed(self, random: Random, tree: Any) -> Any:
        """Return a tree with one change somewhere in it."""
        if isinstance(tree, list) and tree and random.random() < 0.8:
            place = random.randrange(len(tree))
            copy = type(tree)(tree)
            if isinstance(tree, Members):
                key, inner = tree[place]
                copy[place] = (key, self._changed(random, inner))
            else:
                copy[place] = self._changed(random, tree[place])
            return copy
        return self._other(random, tree)

    def _other(self, random: Random, tree: Any) -> Any:
        match random.randrange(9):
            case 0 | 1:
                return self._leaf(random)
            case 2:
                return _nested(random, tree)
            case 3 if isinstance(tree, list) and tree:
                return type(tree)([*tree, random.choice(tree)])
            case 4 if isinstance(tree, list) and tree:
                place = random.randrange(len(tree))
                return type(tree)([*tree[:place], *tree[place + 1 :]])
            case 5 if isinstance(tree, Members):
                inner = random.choice(self._trees) if random.random() < 0.3 else self._leaf(random)
                return Members([*tree, (self._word(random), inner)])
            case 6 if isinstance(tree, Members) and tree:
                place = random.randrange(len(tree))
                copy = Members(tree)
                copy[place] = (self._word(random), tree[place][1])
                return copy
            case 7 if isinstance(tree, list) and tree and not isinstance(tree, Members):
                part = [random.choice(tree)] if random.random() < 0.5 else tree
                return part * max(1, min(random.choice(_LENGTHS), _MOST_NODES // _count(part)))
            case _:
                return [self._leaf(random) for _ in range(random.randrange(5))]

    def _leaf(self, random: Random) -> Any:
        match random.randrange(4):
            case 0:
                return random.choice((1, -1)) * number(random)
            case 1:
                return self._word(random)
            case _:
                return Text(random.choice(_LEAVES))

    def _word(self, random: Random) -> str:
        word = random.choice(self._words)
        return word if random.random() < 0.95 else word * random.choice((2, 50, 1_000))


def _count(tree: Any) -> int:
    """Return how many nodes a tree has, long texts being many."""
    if isinstance(tree, str):
        return 1 + len(tree) // 16
    if isinstance(tree, Members):
        return 1 + sum(_count(inner) for _, inner in tree)
    return 1 + sum(map(_count, tree)) if isinstance(tree, list) else 1


def _nested(random: Random, tree: Any) -> Any:
    """Return a tree in lists or objects; the deepest ones only as text, for what writes them must not recurse."""
    depth = random.choice(_DEPTHS)
    if depth > 64:
        begin, end = random.choice((("[", "]"), ('{"a":', "}"), ("[{", "}]"), ("[", "")))
        return Text(begin * depth + "1" + end * depth)
    for _ in range(depth):
        tree = [tree] if random.random() < 0.8 else Members([("a", tree)])
    return tree


def write(random: Random, tree: Any) -> str:
    """Return the text of a tree, its white space and its escapes as the random numbers have it."""
    space = random.choice(_SPACES)
    is_escaped = random.random() < 0.1

    def text(value: Any) -> str:
        if isinstance(value, Text):
            return str(value)
        if isinstance(value, Members):
            return "{" + f",{space}".join(f"{word(key)}:{space}{text(inner)}" for key, inner in value) + f"{space}}}"
        if isinstance(value, list):
            return "[" + f",{space}".join(map(text, value)) + "]"
        return word(value) if isinstance(value, str) else json.dumps(value)

    def word(value: str) -> str:
        if is_escaped:
            return '"' + "".join(f"\\u{ord(character) & 0xFFFF:04x}" for character in value) + '"'
        return json.dumps(value, ensure_ascii=False)

    return space + text(tree) + space
