"""A process that may make threads and no processes; tried in processes of their own, since there is no way back."""

import os
import subprocess
import sys

import pytest

from tests.support.kernels import has_filters

pytestmark = pytest.mark.skipif(not has_filters(), reason="no filter of system calls can be had here")

SCRIPT = """
import os, resource, subprocess, sys, threading
from registry.inspection.confinement import allow_threads, confine, forbid_processes
from registry.inspection.limits import ChildLimits

def attempt(what):
    try:
        what()
    except (OSError, RuntimeError) as error:
        return type(error).__name__
    return "done"

def thread():
    made = threading.Thread(target=len, args=("",))
    made.start()
    made.join()

def fork():
    if os.fork() == 0:
        os._exit(0)

def become():
    os.execv("/bin/true", ["true"])

confine(ChildLimits(), os.getppid())
forbid_processes(but_threads_later=sys.argv[1] == "later")
print(attempt(thread))
allow_threads()
print(attempt(thread), attempt(fork), attempt(become), attempt(lambda: subprocess.run(["true"])))
"""


def said(word: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", SCRIPT, word], check=True, capture_output=True, text=True)
    return done.stdout.split()


REFUSED = ["PermissionError"] * 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root is exempt from the limit of processes")
def test_threads_are_allowed_later_and_processes_never() -> None:
    assert said("later") == ["RuntimeError", "done", *REFUSED]
    assert said("never")[:2] == ["RuntimeError", "RuntimeError"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is exempt from the limit of processes")
def test_root_makes_threads_and_no_processes_either() -> None:
    assert said("later") == ["done", "done", *REFUSED]
