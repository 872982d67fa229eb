"""The page of the documentation that says how every type is spelled on every wire, made from the table itself.

``python -m gateway.codec.types_page > docs/protocols/types.md``; a test holds the page against it.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from gateway.codec.body import INFINITE_WORDS
from gateway.codec.foreign_floats import words_of
from gateway.codec.spellings import SPELLINGS, Spelling
from registry.tensor import DTYPES, DType

_HEAD = """# Types

How each element type is spelled on each wire. A dash means that the wire's own specification has no word for it: a
tensor of that type is refused there, with a word about where it can travel. Types that numpy lacks have the names of
`ml_dtypes`.

"""

_TAIL = """
In native JSON all floats are decimals that read back to the same bits; the words in the second column stand for what
JSON has no number for, and are text. Over bytes (npy, safetensors, the Open Inference Protocol's raw tensors) every
bit is carried, those of NaN too. 64-bit integers are whole everywhere.

What is no tensor travels in native JSON, and on TensorFlow Serving's routes:

| ONNX | JSON |
|---|---|
| sequence | a list of its items, each a tensor in nested lists, or as `{"shape": [...], "data": [...]}` |
| map | an object; keys that are integers are written as text: `{"0": 0.98, "1": 0.02}` |
| optional | `null` where it is absent, else what is in it; an input that is absent may be left out |

The Open Inference Protocol and files of tensors have no words for these. Outputs that the Open Inference Protocol
cannot spell are left out of its answers unless they are asked for by name, and are listed in the model's metadata under
`properties`.
"""

_COLUMNS: Mapping[str, Callable[[Spelling, DType], str | None]] = MappingProxyType(
    {
        "native JSON, signatures": lambda spelling, _: f"`{spelling.native}`",
        "words": lambda _, dtype: ", ".join(f'`"{word}"`' for word in _words(dtype)),
        "Open Inference Protocol": lambda spelling, _: _code(spelling.open_inference),
        "gRPC contents": lambda spelling, _: _code(
            spelling.grpc_contents, "raw only" if spelling.open_inference else None
        ),
        "TensorFlow Serving": lambda spelling, _: _code(spelling.tensorflow),
        "npy, npz": lambda spelling, _: _code(spelling.npy, "`<U`" if spelling.native == "string" else None),
        "safetensors": lambda spelling, _: _code(spelling.safetensors),
    }
)


def page() -> str:
    """Return the whole page, in Markdown."""
    rows = [[column(SPELLINGS[name], dtype) or "-" for column in _COLUMNS.values()] for name, dtype in DTYPES.items()]
    lines = [list(_COLUMNS), ["---"] * len(_COLUMNS), *rows]
    return _HEAD + "".join(f"| {' | '.join(line)} |\n" for line in lines) + _TAIL


def _code(word: str | None, otherwise: str | None = None) -> str | None:
    return otherwise if word is None else f"`{word}`".replace("|", r"\|")  # a bar would end the column


def _words(dtype: DType) -> Sequence[str]:
    if dtype.kind != "f":
        return ()
    return words_of(dtype) if dtype.is_foreign else INFINITE_WORDS


if __name__ == "__main__":
    sys.stdout.write(page())
