"""Protocol Buffers changed field by field, at any depth: what comes out is a message, or nearly one."""

from collections.abc import Sequence
from random import Random
from typing import TypeAlias

from tests.fuzz.mutation import mutate, number

_VARINT, _EIGHT, _COUNTED, _FOUR = 0, 1, 2, 5
_SIZES = {_EIGHT: 8, _FOUR: 4}
_DEEPEST = 12
_REPEATS = (2, 3, 10, 100, 1_000, 30_000)
_MOST_REPEATED_BYTES = 512 * 1024
_NESTINGS = (2, 10, 63, 64, 65, 100, 101, 2_000)

Field: TypeAlias = tuple[int, int, bytes]
"""Number, wire type, and the payload: of a varint its bytes."""


def parse(octets: bytes) -> list[Field] | None:
    """Return the fields of a message; None if it is none."""
    fields: list[Field] = []
    place = 0
    while place < len(octets):
        tag, place = _read_varint(octets, place)
        kind = tag & 7
        begin = place
        if kind == _VARINT:
            _, place = _read_varint(octets, place)
        elif kind == _COUNTED:
            size, begin = _read_varint(octets, place)
            place = begin + size
        else:
            place += _SIZES.get(kind, len(octets) + 1)
        if place > len(octets) or not tag >> 3:
            return None
        fields.append((tag >> 3, kind, octets[begin:place]))
    return fields


def write(fields: Sequence[Field]) -> bytes:
    """Return a message."""
    return b"".join(
        varint(number_ << 3 | kind) + (varint(len(payload)) if kind == _COUNTED else b"") + payload
        for number_, kind, payload in fields
    )


def varint(value: int) -> bytes:
    """Return a number as the wire has it."""
    octets = bytearray()
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def change(random: Random, octets: bytes, donors: Sequence[bytes], depth: int = 0) -> bytes:
    """Return a message with one field of it changed, somewhere; ``donors`` are others, for splices."""
    fields = parse(octets)
    if not fields:
        return mutate(random, octets, donors=donors)
    place = random.randrange(len(fields))
    number_, kind, payload = fields[place]
    if kind == _COUNTED and depth < _DEEPEST and random.random() < 0.8 and parse(payload):
        fields[place] = (number_, kind, change(random, payload, donors, depth + 1))
        return write(fields)
    if random.random() < 0.15:
        return mutate(random, octets)
    return write([*fields[:place], *_other(random, fields[place], donors), *fields[place + 1 :]])


def _other(random: Random, field: Field, donors: Sequence[bytes]) -> list[Field]:
    number_, kind, payload = field
    match random.randrange(9):
        case 0:
            return []
        case 1:
            times = random.choice(_REPEATS)
            return [field] * max(2, min(times, _MOST_REPEATED_BYTES // (len(payload) + 2)))
        case 2:
            return [(random.choice((number_ + 1, max(number_ - 1, 1), random.randint(1, 30))), kind, payload)]
        case 3:
            return [(number_, random.choice((_VARINT, _EIGHT, _COUNTED, _FOUR, 3, 4)), payload)]
        case 4:
            return [(number_, _VARINT, varint(number(random)))]
        case 5:
            return [(number_, _COUNTED, b"".join(varint(number(random)) for _ in range(random.randrange(8))))]
        case 6:
            return [(number_, kind, _nested(random, number_, payload))]
        case 7:
            return [field, *_spliced(random, donors)]
        case _:
            return [(number_, kind, mutate(random, payload))]


def _nested(random: Random, number_: int, payload: bytes) -> bytes:
    """Return a payload in messages of its own field's number."""
    payload = payload[:1024]
    for _ in range(random.choice(_NESTINGS)):
        payload = write([(number_, _COUNTED, payload)])
    return payload


def _spliced(random: Random, donors: Sequence[bytes]) -> list[Field]:
    """Return a field of another message, of any depth."""
    fields = parse(random.choice(donors)) or []
    while fields:
        field = random.choice(fields)
        inner = parse(field[2]) if field[1] == _COUNTED else None
        if not inner or random.random() < 0.3:
            return [field]
        fields = inner
    return []


def _read_varint(octets: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    for at in range(place, min(place + 10, len(octets))):
        value |= (octets[at] & 0x7F) << shift
        if octets[at] < 0x80:
            return value, at + 1
        shift += 7
    return 0, len(octets) + 1
