"""What a child can do to others: tried by processes that are free, or under one measure, or under all of them."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.inspection import process_filter
from registry.inspection.landlock import landlock_abi
from registry.inspection.process_filter import REFUSED, number_of
from tests.support.kernels import has_filters

TRIES = """
import ctypes, errno, fcntl, json, os, resource, signal, socket, subprocess, sys
from pathlib import Path
from registry.inspection.confinement import confine, shut_in
from registry.inspection.landlock import restrict
from registry.inspection.limits import ChildLimits
from registry.inspection.process_filter import filter_calls, number_of
from registry.inspection.program_files import program_files

measure, inside, outside, port = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
libc = ctypes.CDLL(None, use_errno=True)
ends = os.pipe()
other = os.fork()
if other == 0:
    os.close(ends[1])
    os.read(ends[0], 1)
    os._exit(0)

def ask(name, *arguments):
    if libc.syscall(number_of(name), *arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

def memory_of_another():
    room = ctypes.create_string_buffer(1)
    there = (ctypes.c_void_p * 2)(ctypes.addressof(room), 1)
    ask("process_vm_readv", other, ctypes.byref(there), 1, ctypes.byref(there), 1, 0)

TRIED = {
    "read a file inside": lambda: (inside / "model.onnx").read_bytes(),
    "read a file outside": lambda: (outside / "secret").read_bytes(),
    "list a folder outside": lambda: os.listdir(outside),
    "write a file inside": lambda: (inside / "new").write_bytes(b""),
    "write a file outside": lambda: (outside / "new").write_bytes(b""),
    "cut a file outside": lambda: os.truncate(outside / "old", 0),
    "change when it was written": lambda: os.utime(outside / "old", (0, 0)),
    "remove a file outside": lambda: (outside / "old").unlink(),
    "read what another process was given": lambda: Path(f"/proc/{other}/environ").read_bytes(),
    "run a program": lambda: subprocess.run(["/bin/true"], check=True),
    "connect to a server here": lambda: socket.create_connection(("127.0.0.1", port)).close(),
    "serve": lambda: socket.create_server(("127.0.0.1", 0)).close(),
    "speak to an abstract socket": lambda: socket.socket(socket.AF_UNIX).connect(f"\\0{port}"),
    "signal another process": lambda: os.kill(other, 0),
    "signal its group": lambda: os.killpg(0, 0),
    "signal itself": lambda: os.kill(os.getpid(), 0),
    "trace another process": lambda: ask("ptrace", 0x4206, other, 0, 0),
    "read another's memory": memory_of_another,
    "have the kernel signal another process": lambda: fcntl.fcntl(ends[0], fcntl.F_SETOWN, other),
    "set another's limits": lambda: resource.prlimit(other, resource.RLIMIT_NOFILE, (99, 99)),
    "read its own limits": lambda: resource.prlimit(0, resource.RLIMIT_NOFILE),
    "make another stand back": lambda: os.setpriority(os.PRIO_PROCESS, other, 19),
    "choose another's processors": lambda: os.sched_setaffinity(other, os.sched_getaffinity(0)),
    "change who may read": lambda: os.chmod(inside, 0o755),
}

def attempt(what):
    try:
        what()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

if measure == "landlock":
    restrict(read=[*program_files(), inside])
if measure in ("filter", "filter of who forks", "filter of who writes"):
    libc.prctl(38, 1, 0, 0, 0)
    filter_calls(is_to_fork=measure.endswith("forks"), is_to_write=measure.endswith("writes"))
if measure in ("all", "all but writing"):
    confine(ChildLimits(file_bytes=measure != "all"), os.getppid())
    shut_in(read=[inside], write=[inside] if measure == "all but writing" else [])
print(json.dumps({name: attempt(what) for name, what in TRIED.items()}))
os.close(ends[1])
"""

NEEDS_LANDLOCK = pytest.mark.skipif(landlock_abi() < 6, reason="the kernel has no Landlock that scopes signals")
NEEDS_FILTER = pytest.mark.skipif(not has_filters(), reason="no filter of system calls can be had here")


@pytest.fixture
def server() -> Iterator[int]:
    """The port of a server on loopback, whose number names an abstract socket, too."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as abstract:
        port = tcp.getsockname()[1]
        abstract.bind(f"\0{port}")
        abstract.listen()
        yield port


def tried(measure: str, folder: Path, port: int) -> dict[str, str]:
    """Have a process under a measure try all; return what became of each that was not done."""
    inside, outside = folder / measure / "inside", folder / measure / "outside"
    for made in (inside, outside):
        made.mkdir(parents=True)
    for path in (inside / "model.onnx", outside / "secret", outside / "old"):
        path.write_bytes(b"x")
    words = [sys.executable, "-c", TRIES, measure, str(inside), str(outside), str(port)]
    done = subprocess.run(words, check=True, capture_output=True, text=True, start_new_session=True)
    said: dict[str, str] = json.loads(done.stdout)
    return {name: became for name, became in said.items() if became != "done"}


def test_a_process_that_is_free_can_do_all_of_it(tmp_path: Path, server: int) -> None:
    assert tried("none", tmp_path, server) == {}


@NEEDS_LANDLOCK
def test_landlock_keeps_a_process_to_its_files_and_to_itself(tmp_path: Path, server: int) -> None:
    assert tried("landlock", tmp_path, server) == {
        "read a file outside": "EACCES",
        "list a folder outside": "EACCES",
        "write a file inside": "EACCES",
        "write a file outside": "EACCES",
        "cut a file outside": "EACCES",
        "remove a file outside": "EACCES",
        "read what another process was given": "EACCES",
        "run a program": "EACCES",
        "connect to a server here": "EACCES",
        "serve": "EACCES",
        "speak to an abstract socket": "EPERM",
        "signal another process": "EPERM",
        "trace another process": "EPERM",
        "read another's memory": "EPERM",
    }


SIGNALLING = {"signal another process", "signal its group"}
WRITING = {"cut a file outside", "remove a file outside"}
FILTERED = {
    *SIGNALLING,
    *WRITING,
    "change when it was written",
    "run a program",
    "connect to a server here",
    "serve",
    "speak to an abstract socket",
    "have the kernel signal another process",
    "trace another process",
    "read another's memory",
    "set another's limits",
    "make another stand back",
    "choose another's processors",
    "change who may read",
}


@NEEDS_FILTER
@pytest.mark.parametrize(
    ("measure", "allowed"),
    [
        pytest.param("filter", set(), id="who only reads"),
        pytest.param("filter of who forks", SIGNALLING, id="who forks others"),
        pytest.param("filter of who writes", WRITING, id="who writes"),
    ],
)
def test_the_filter_keeps_a_process_from_all_others(
    measure: str, allowed: set[str], tmp_path: Path, server: int
) -> None:
    assert tried(measure, tmp_path, server) == dict.fromkeys(FILTERED - allowed, "EPERM")


@NEEDS_LANDLOCK
@NEEDS_FILTER
def test_a_child_reads_its_model_and_does_nothing_else(tmp_path: Path, server: int) -> None:
    everything = tried("all", tmp_path, server)
    kept = {"read a file inside", "signal itself", "read its own limits"}
    names = {line.split('"')[1] for line in TRIES.splitlines() if line.startswith('    "')}
    assert everything.keys() == names - kept
    assert tried("all but writing", tmp_path, server).keys() == everything.keys() - {"write a file inside"}


REFUSALS = """
import ctypes, errno, json
from registry.inspection.process_filter import REFUSED, WRITING, filter_calls, makes_threads_only, number_of
libc = ctypes.CDLL(None, use_errno=True)
before = makes_threads_only()
libc.prctl(38, 1, 0, 0, 0)
filter_calls()
def answer(name):
    ctypes.set_errno(0)
    libc.syscall(number_of(name), -1, -1, -1, -1, -1, -1)
    return errno.errorcode.get(ctypes.get_errno())
known = [name for name in (*REFUSED, *WRITING) if number_of(name) is not None]
print(json.dumps([before, makes_threads_only(), {name: answer(name) for name in known}]))
"""


@NEEDS_FILTER
def test_every_call_of_the_list_is_refused_and_the_filter_is_seen() -> None:
    done = subprocess.run([sys.executable, "-c", REFUSALS], check=True, capture_output=True, text=True)
    known = [name for name in (*REFUSED, *process_filter.WRITING) if number_of(name) is not None]
    assert json.loads(done.stdout) == [False, True, dict.fromkeys(known, "EPERM")]


def test_the_list_agrees_with_the_systems_own_table() -> None:
    table = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if os.uname().machine != "x86_64" or not table.exists():
        pytest.skip("there is no table here")
    lines = [line.split() for line in table.read_text().splitlines() if line.startswith("#define __NR_")]
    numbers = {name.removeprefix("__NR_"): int(number) for _, name, number in lines}
    ours = {name: number_of(name) for name in (*REFUSED, *process_filter.WRITING)}
    assert {name: number for name, number in ours.items() if numbers.get(name, number) != number} == {}
