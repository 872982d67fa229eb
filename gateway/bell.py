"""A pipe on which workers tell their supervisor a word: that they serve, that they want to be replaced.

It tells itself there that a child has ended, so that it need not wait for the next look.
"""

import os
import select
from contextlib import suppress
from dataclasses import dataclass

READY = "ready"
REPLACE_ME = "replace-me"
ENDED = "ended"

_READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Bell:
    """What the supervisor listens to."""

    listening: int
    ringing: int
    """The end that workers inherit."""

    @classmethod
    def create(cls) -> "Bell":
        """Make one."""
        bell = cls(*os.pipe())
        os.set_blocking(bell.listening, False)
        os.set_blocking(bell.ringing, False)
        return bell

    def wait(self, seconds: float) -> None:
        """Return when something has been said, or the time is over."""
        listening = select.poll()
        listening.register(self.listening, select.POLLIN)
        listening.poll(seconds * 1000)

    def heard(self) -> list[tuple[str, int]]:
        """Return each word since the last time, and the process id of who said it."""
        try:
            said = os.read(self.listening, _READ_BYTES)
        except BlockingIOError:
            return []
        # A line is written at once, and is shorter than what a pipe may cut into two.
        lines = (line.split() for line in said.decode(errors="replace").splitlines())
        return [(line[0], int(line[1])) for line in lines if len(line) == 2 and line[1].isdigit()]  # noqa: PLR2004


def ring(descriptor: int, word: str) -> None:
    """Say a word to the supervisor; if it does not listen, nothing happens."""
    with suppress(OSError):
        os.write(descriptor, f"{word} {os.getpid()}\n".encode())
