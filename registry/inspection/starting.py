"""What a child is given at its birth, and how one is born that is a program of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

ENVIRONMENT: Final = {
    "LANG": "C.UTF-8",
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ORT_DISABLE_TELEMETRY": "1",  # else the runtime starts an uploader, with threads and files of its own
    "PATH": os.defpath,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """One that runs, and that nobody has waited for."""

    pid: int
    """Of a process group of its own, too."""
    report: int
    """Our end of the pipe for what it finds."""
    last_words: int
    """Our end of the pipe for whatever else it says."""

    def close(self) -> None:
        """Close our ends."""
        os.close(self.report)
        os.close(self.last_words)


@contextmanager
def as_descriptor(text: str) -> Iterator[int]:
    """Give a descriptor that a child can read the text from: it has no files, and arguments are short."""
    descriptor = os.memfd_create("text")
    try:
        with open(descriptor, "w", encoding="utf-8", closefd=False) as file:
            file.write(text)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def two_pipes() -> Iterator[tuple[int, int, int, int]]:
    """Give the reading and writing ends of pipes for a report and last words; afterwards the writing ends are closed.

    If the block fails, all are.
    """
    report, reporting = os.pipe()
    last_words, saying = os.pipe()
    try:
        yield report, reporting, last_words, saying
    except BaseException:
        os.close(report)
        os.close(last_words)
        raise
    finally:
        os.close(reporting)
        os.close(saying)


def start_program(orders: Mapping[str, Any], examples: int | None) -> Child:
    """Start a child that is a new program.

    Args:
        orders: for ``registry.inspection.__main__``, and the ``folder`` to do them in.
        examples: the descriptor of those that are run, if any.

    Raises:
        OSError: it cannot be started.
    """
    with two_pipes() as (report, reporting, last_words, saying):
        ordered = json.dumps({**orders, "report": reporting, "examples": examples})
        process = subprocess.Popen(  # noqa: S603 - our own module, by an argument list
            [sys.executable, "-I", "-B", "-m", "registry.inspection", ordered],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=saying,
            pass_fds=(reporting,) if examples is None else (reporting, examples),
            cwd=orders["folder"],
            env=ENVIRONMENT,
            start_new_session=True,
        )
        process.returncode = 0  # it is waited for by its process id, and not here
    return Child(pid=process.pid, report=report, last_words=last_words)
