"""Bytes changed as fuzzers do: what follows from the random numbers alone."""

from collections.abc import Sequence
from random import Random

NUMBERS = (
    *(0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 255, 256, 257, 1023, 1024, 4095),
    *(4096, 4097, 65535, 65536, 2**24 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**53 + 1, 2**62),
    *(2**63 - 1, 2**63, 2**64 - 1),
)
"""At which something overflows, or a limit lies."""

_MOST_REPEATED_BYTES = 128 * 1024


def number(random: Random) -> int:
    """Return a number at a limit, or beside one."""
    return (random.choice(NUMBERS) + random.choice((0, 0, 0, 1, -1))) % 2**64


def mutate(random: Random, octets: bytes, tokens: Sequence[bytes] = (), donors: Sequence[bytes] = ()) -> bytes:
    """Return bytes with a few changes.

    Args:
        random: decides.
        octets: are changed.
        tokens: that have a meaning where they come from.
        donors: others of the kind, for splices.
    """
    for _ in range(random.choice((1, 1, 1, 1, 1, 2, 2, 3, 5))):
        octets = _change(random, octets, tokens, donors)
    return octets


def _change(random: Random, octets: bytes, tokens: Sequence[bytes], donors: Sequence[bytes]) -> bytes:
    begin = random.randint(0, len(octets))
    end = min(begin + random.choice((0, 1, 1, 2, 4, 8, random.randint(0, 64))), len(octets))
    match random.randrange(11):
        case 0:
            return octets[:begin]
        case 1:
            return octets[:begin] + octets[end:]
        case 2:
            return octets[:begin] + _flipped(random, octets[begin:end]) + octets[end:]
        case 3:
            return octets[:begin] + random.randbytes(end - begin) + octets[end:]
        case 4:
            return octets[:end] + octets[begin:end] + octets[end:]
        case 5 if donors:
            other = random.choice(donors)
            return octets[:begin] + other[random.randint(0, len(other)) :]
        case 6:
            size = random.choice((1, 2, 4, 8))
            order = random.choice(("little", "big"))
            return octets[:begin] + (number(random) % 256**size).to_bytes(size, order) + octets[begin + size :]
        case 7:
            return octets[:begin] + str(random.choice((1, -1)) * number(random)).encode() + octets[end:]
        case 8 if random.random() < 0.2:
            return octets[:begin] + _repeated(random, octets[begin:end]) + octets[end:]
        case 9 if octets:
            return octets[:begin] + bytes([random.randrange(256)]) + octets[begin + 1 :]
        case _:
            return octets[:begin] + (random.choice(tokens) if tokens else b"") + octets[end:]


def _flipped(random: Random, octets: bytes) -> bytes:
    return bytes(octet ^ (1 << random.randrange(8)) for octet in octets)


def _repeated(random: Random, octets: bytes) -> bytes:
    most = _MOST_REPEATED_BYTES // max(len(octets), 1)
    return octets * min(random.choice((2, 10, 100, 1000, 10_000, 100_000)), most)
