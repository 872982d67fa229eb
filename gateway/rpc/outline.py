"""The outline of a ModelInferRequest, read before the library sees it: which model is meant, and where its bytes lie.

1. What is routed need not be parsed, and raw contents stay where they are: an array may be a view of the message.
2. A message holds no more than ``_MOST_FIELDS`` fields at its top: an empty tensor takes two bytes of a message but
   many of memory.
"""

from typing import Final, NamedTuple

from registry.errors import InvalidRequest

_MODEL_NAME: Final = 1
_MODEL_VERSION: Final = 2
_ID: Final = 3
_RAW_INPUT_CONTENTS: Final = 7
_VARINT, _EIGHT, _COUNTED, _FOUR = 0, 1, 2, 5
_MOST_FIELDS: Final = 4096
_LONGEST_VARINT: Final = 10


class Outline(NamedTuple):
    """What of a request is known without parsing it."""

    model_name: str
    model_version: str
    id: str
    head: bytes
    """The message without its raw contents."""
    raw: list[memoryview]
    """These, in their order."""


def read_outline(message: bytes) -> Outline:
    """Return the outline of a message.

    Raises:
        InvalidRequest: these bytes are no such message, or one with far too many fields.
    """
    try:
        return _read(message)
    except (IndexError, UnicodeDecodeError) as error:
        raise InvalidRequest("the message is no ModelInferRequest") from error


def _read(message: bytes) -> Outline:
    whole = memoryview(message)
    names = {_MODEL_NAME: b"", _MODEL_VERSION: b"", _ID: b""}
    kept: list[bytes] = []
    raw: list[memoryview] = []
    count = kept_from = place = 0
    while place < len(message):
        count += 1
        if count > _MOST_FIELDS:
            raise InvalidRequest(f"the message has more than {_MOST_FIELDS} tensors, outputs and parameters")
        begin = place
        tag, place = read_varint(message, place)
        wire_type = tag & 7
        if wire_type == _COUNTED:
            length, place = read_varint(message, place)
            content, place = place, place + length
            if place > len(message):
                raise IndexError
            number = tag >> 3
            if number == _RAW_INPUT_CONTENTS:
                kept.append(message[kept_from:begin])
                kept_from = place
                raw.append(whole[content:place])
            elif number in names:
                names[number] = message[content:place]
        else:
            place = _skip(message, place, wire_type)
    kept.append(message[kept_from:])
    head = kept[0] if len(kept) == 1 else b"".join(kept)
    name, version, identity = (octets.decode() for octets in names.values())
    return Outline(name, version, identity, head, raw)


def read_varint(message: bytes, place: int) -> tuple[int, int]:
    """Return the number that begins at a place, and the place after it; an IndexError if there is none."""
    octet = message[place]
    if octet < 0x80:  # noqa: PLR2004 - the bit that says that more follow
        return octet, place + 1
    number = shift = 0
    for place_after in range(place + 1, place + 1 + _LONGEST_VARINT):
        number |= (octet & 0x7F) << shift
        if octet < 0x80:  # noqa: PLR2004 - as above
            return number, place_after
        shift += 7
        octet = message[place_after]
    raise IndexError


def write_varint(number: int) -> bytes:
    """Return a number as the wire has it."""
    octets = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - as above
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)


def _skip(message: bytes, place: int, wire_type: int) -> int:
    if wire_type == _VARINT:
        return read_varint(message, place)[1]
    if wire_type in (_EIGHT, _FOUR):
        after = place + (8 if wire_type == _EIGHT else 4)
        if after <= len(message):
            return after
    raise IndexError
