"""How much an uploaded model may ask of whoever looks at it."""

from dataclasses import dataclass

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """What the wire-level scan lets pass; beyond the largest honest models seen, below what hurts a parser."""

    size_bytes: int = 2 * GIB - 1
    """Protocol Buffers end here, and with them every ONNX graph; weights beyond go into external data."""
    nodes: int = 50_000
    """In all graphs and functions together, as written and again with every function call expanded."""
    interface: int = 1_024
    """Inputs and outputs together; an input that an initialiser gives a value to does not count."""
    messages: int = 500_000
    """A parsed message costs some 250 times its two bytes on the wire."""
    fields: int = 8_000_000
    """A run of one numeric field counts as one."""
    depth: int = 64
    tree_depth: int = 4_000
    """The runtime builds tree ensembles by recursion and overflows its stack between 5,000 and 20,000."""
    rank: int = 32
    name_bytes: int = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildLimits:
    """What the inspection child may take, given the size of what it looks at."""

    memory_bytes: int = 2 * GIB
    memory_bytes_per_byte: int = 4
    cpu_seconds: int = 20
    cpu_seconds_per_100_mib: int = 20
    wall_seconds: int = 60
    """Processor time is the limit that bites; this one is for a child that sleeps, and lets a busy machine be busy."""
    wall_seconds_per_100_mib: int = 60
    open_files: int = 64
    file_bytes: int = 0
    """Of each file that it may write: none, unless it prepares a model."""
    report_bytes: int = 16 * MIB

    def for_size(self, size_bytes: int) -> "ChildLimits":
        """Return the limits with their shares in proportion to the size added in."""
        hundreds = -(-size_bytes // (100 * MIB)) if size_bytes > 10 * MIB else 0
        return ChildLimits(
            memory_bytes=self.memory_bytes + self.memory_bytes_per_byte * size_bytes,
            memory_bytes_per_byte=0,
            cpu_seconds=self.cpu_seconds + self.cpu_seconds_per_100_mib * hundreds,
            cpu_seconds_per_100_mib=0,
            wall_seconds=self.wall_seconds + self.wall_seconds_per_100_mib * hundreds,
            wall_seconds_per_100_mib=0,
            open_files=self.open_files,
            file_bytes=self.file_bytes,
            report_bytes=self.report_bytes,
        )
