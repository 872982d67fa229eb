"""What a measurement is made with: the runtime, the kind of processor, which chooses the runtime's kernels, the CPUs.

The limits of this process's control groups count, not the machine's size.
"""

import hashlib
import os
import platform
import threading
from functools import cache
from importlib import metadata
from math import ceil
from pathlib import Path

from registry.inspection.control_groups import cpu_quota

_PROCESSOR = ("model name", "flags", "Features", "CPU implementer", "CPU part")
"""Lines of /proc/cpuinfo that tell which instructions there are; x86 has the first two, ARM the others."""

_KEY_CHARACTERS = 16


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
    """Return how many CPUs this process may keep busy, at least 1: affinity, then its quota, rounded up."""
    affinity, quota = len(os.sched_getaffinity(0)), cpu_quota()
    return affinity if quota is None else max(1, min(affinity, ceil(quota)))


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
