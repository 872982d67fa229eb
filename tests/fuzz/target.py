"""What is fuzzed: where its inputs come from, what it may do with them, and what that may cost."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from registry.errors import CallerError, NotFound

MIB = 1 << 20


class BrokenPromiseError(Exception):
    """An answer came, and it is not one that may come."""


@dataclass(frozen=True, slots=True)
class Made:
    """A target at work in one process.

    ``draw`` makes an input and depends on nothing but the random numbers; ``attempt`` returns when the input has been
    taken, raises one of the allowed errors when it has been refused, and anything else when it is a finding.
    """

    draw: Callable[[Random], bytes]
    attempt: Callable[[bytes], None]
    close: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One of the things that strangers' bytes come to."""

    name: str
    make: Callable[[], Made]
    """Called in the process that tries the inputs."""
    share: float = 1.0
    """Of the time, beside those of the others."""
    allowed: tuple[type[Exception], ...] = (CallerError, NotFound)
    cpu_seconds: float = 0.4
    """For any input, beside what its size allows."""
    cpu_seconds_per_mib: float = 6.0
    hang_seconds: float = 20.0
    """Of processor time, from which on nobody waits any longer."""
    wall_seconds: float = 60.0
    memory_bytes: int = 96 * MIB
    """By how much an input may raise the peak of the process, beside what its size allows."""
    memory_bytes_per_byte: int = 400
    room_bytes: int = 2048 * MIB
    """Of address space beyond what the process has when it is ready; the kernel gives no more."""

    def cpu_allowance(self, size: int) -> float:
        """Return how much processor time an input of this size may take."""
        return self.cpu_seconds + self.cpu_seconds_per_mib * size / MIB

    def memory_allowance(self, size: int) -> int:
        """Return by how many bytes an input of this size may raise the peak."""
        return self.memory_bytes + self.memory_bytes_per_byte * size
