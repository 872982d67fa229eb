"""What a measurement is made with: the runtime, the kind of processor, which chooses the runtime's kernels, the CPUs.

A container's limits count, not the machine's size.
"""

import hashlib
import os
import platform
import threading
from functools import cache
from importlib import metadata
from pathlib import Path

_PROCESSOR = ("model name", "flags", "Features", "CPU implementer", "CPU part")
"""Lines of /proc/cpuinfo that tell which instructions there are; x86 has the first two, ARM the others."""

_KEY_CHARACTERS = 16

_CGROUP = Path("/sys/fs/cgroup")


@cache
def runtime_name() -> str:
    """Return who measures: ``onnxruntime 1.32.0 x86_64``; found out once, since that takes 2 ms."""
    return f"onnxruntime {metadata.version('onnxruntime')} {platform.machine()}"


@cache
def host_key() -> str:
    """Return a short name for this runtime on this machine's kind of processor, the same for equal ones."""
    kinds = {line for line in _processor().splitlines() if line.startswith(_PROCESSOR)}
    return hashlib.sha256("\n".join([runtime_name(), platform.machine(), *sorted(kinds)]).encode()).hexdigest()[
        :_KEY_CHARACTERS
    ]


def usable_cpus() -> int:
    """Return how many CPUs this process may keep busy, at least 1: affinity, then the cgroup's quota."""
    affinity = len(os.sched_getaffinity(0))
    quota = cpu_quota(_CGROUP)
    return max(1, min(affinity, quota) if quota else affinity)


def cpu_quota(cgroup: Path) -> int | None:
    """Return how many CPUs a cgroup may keep busy, rounded up, in either version's files; None for all there are."""
    words = _read(cgroup / "cpu.max").split()
    if not words:
        words = [_read(cgroup / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
    if len(words) == 2 and all(word.isdigit() for word in words):  # noqa: PLR2004 - quota and period
        return max(1, -(-int(words[0]) // int(words[1])))
    return None


def _processor() -> str:
    return _read(Path("/proc/cpuinfo"))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def can_start_threads(count: int) -> bool:
    """Tell whether so many threads can be had, by having them for a moment.

    The runtime is asked only then: what becomes of a session that gets some of its threads is nobody's promise.
    """
    is_over = threading.Event()
    threads = [threading.Thread(target=is_over.wait, daemon=True) for _ in range(count)]
    started = []
    try:
        for thread in threads:
            thread.start()
            started.append(thread)
    except (RuntimeError, MemoryError):
        return False
    finally:
        is_over.set()
        for thread in started:
            thread.join()
    return True
