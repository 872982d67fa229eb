"""Memory that a fuzzing process shares with its parent: what it is about to try, so that its death has a cause."""

import mmap
import struct

MOST_BYTES = 4 << 20
"""Of one input."""

_HEAD = struct.Struct("<QQQQ?")


class Slot:
    """Which input is being tried, and how many have been tried and taken; made before the fork."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _HEAD.size + MOST_BYTES)
        self._index = self._size = self.tries = self.taken = 0

    def begin(self, index: int, octets: bytes) -> None:
        """Write down the input before it is tried."""
        self._index, self._size = index, len(octets)
        self._memory[_HEAD.size : _HEAD.size + len(octets)] = octets
        self._write(is_trying=True)

    def end(self, *, is_taken: bool) -> None:
        """Count the input."""
        self.tries += 1
        self.taken += is_taken
        self._write(is_trying=False)

    def read(self) -> tuple[int, bytes | None]:
        """Return the newest input's index, and the input itself if it has not come to its end."""
        self._index, self._size, self.tries, self.taken, is_trying = _HEAD.unpack_from(self._memory)
        return self._index, self._memory[_HEAD.size : _HEAD.size + self._size] if is_trying else None

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()

    def _write(self, *, is_trying: bool) -> None:
        _HEAD.pack_into(self._memory, 0, self._index, self._size, self.tries, self.taken, is_trying)
