"""What a measurement was made with: the runtime, and the kind of processor, which chooses the runtime's kernels."""

import hashlib
import platform
from importlib import metadata
from pathlib import Path

_PROCESSOR = ("model name", "flags", "Features", "CPU implementer", "CPU part")
"""Lines of /proc/cpuinfo that tell which instructions there are; x86 has the first two, ARM the others."""

_KEY_CHARACTERS = 16


def runtime_name() -> str:
    """Return who measures: ``onnxruntime 1.32.0 x86_64``."""
    return f"onnxruntime {metadata.version('onnxruntime')} {platform.machine()}"


def host_key() -> str:
    """Return a short name for this runtime on this machine's kind of processor, the same for equal ones."""
    kinds = {line for line in _processor().splitlines() if line.startswith(_PROCESSOR)}
    return hashlib.sha256("\n".join([runtime_name(), platform.machine(), *sorted(kinds)]).encode()).hexdigest()[
        :_KEY_CHARACTERS
    ]


def _processor() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="ascii")
    except OSError:
        return ""
