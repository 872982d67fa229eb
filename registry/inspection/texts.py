"""Which bytes of a model are texts that somebody may see: printable names, and texts that are UTF-8 at all."""

from codecs import getincrementaldecoder
from typing import Final

from registry.errors import InvalidArtifact
from registry.inspection.wire import LENGTH, Bytes, Field

_TEXTS: Final = {
    "ModelProto": frozenset({2, 3}),
    "OperatorSetIdProto": frozenset({1}),
    "StringStringEntryProto": frozenset({1, 2}),
    "Dimension": frozenset({2}),
}
"""The fields that the registry shows: producer, operator sets, metadata, names of sizes."""
_CHUNK_BYTES: Final = 1 << 20

_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def is_printable(octets: bytes) -> bool:
    """Tell whether the bytes are UTF-8 that shows as what it is, in one line."""
    text = octets.decode("utf-8", "replace")
    return text.isprintable() and _REPLACEMENT not in text


def check_text(data: Bytes, kind: str, field: Field) -> None:
    """Make sure that a field which is shown is UTF-8; piece by piece, since it may be as long as the file.

    Args:
        data: the whole file.
        kind: the type of the message that the field belongs to.
        field: any of its fields.

    Raises:
        InvalidArtifact: ``invalid_model``.
    """
    number, wire, begin, end = field
    if wire != LENGTH or number not in _TEXTS.get(kind, ()):
        return
    decoder = getincrementaldecoder("utf-8")()
    try:
        for start in range(begin, end, _CHUNK_BYTES):
            stop = min(end, start + _CHUNK_BYTES)
            decoder.decode(data[start:stop], final=stop == end)
    except UnicodeDecodeError as error:
        raise InvalidArtifact("invalid_model", "a text of the model is not UTF-8") from error
