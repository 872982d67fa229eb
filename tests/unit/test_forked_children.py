"""Children that are forks of a program which has made the imports: what they are given, and what ends whom."""

import hashlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from registry.errors import ExamplesDiffer, InvalidArtifact
from registry.examples import Example, Examples
from registry.inspection.forks import FORKS, Forks
from registry.inspection.limits import ChildLimits, WireLimits
from registry.inspection.sandbox import SandboxedInspector
from registry.inspection.sessions import SESSION_NICENESS
from registry.inspection.starting import ENVIRONMENT, Child, as_descriptor, start_program
from tests.support import models
from tests.support.gateway_process import children_of, command_of, wait_until
from tests.support.inspecting import inspect_files, lay_out

FORERUNNER = "registry.inspection.forerunner"
CHILD = "registry.inspection"
X = np.array([1.0], np.float32)
ENDLESS = Examples((Example(name="endless", inputs={"x": X}, outputs={"y": X}),))


def forerunners(pid: int | None = None) -> list[int]:
    return children_of(pid or os.getpid(), FORERUNNER)


def niceness_of_session(pid: int) -> int | None:
    """Return how nice the session of a process is; None where the kernel groups no processes by session.

    The file is empty for a process whose control group has a share of its own of the processors.
    """
    group = Path(f"/proc/{pid}/autogroup")
    words = group.read_text().split() if group.exists() else []
    return int(words[-1]) if words else None


def end_of(child: Child) -> int:
    """Kill a child, and return how it ended."""
    os.kill(child.pid, signal.SIGKILL)
    _, status = os.waitpid(child.pid, 0)
    child.close()
    return os.waitstatus_to_exitcode(status)


@contextmanager
def running(start: Callable[[dict[str, Any], int | None], Child | None], folder: Path) -> Iterator[Child]:
    """Start a child that runs a model which never ends, and wait until it does."""
    artifact = lay_out(folder, {"model.onnx": models.loop().SerializeToString()})
    orders = {
        "parent_pid": os.getpid(),
        "folder": str(folder),
        "graph": artifact.graph.name,
        "files": {},
        "names": [],
        "into": None,
        "memory_bytes": 0,
        "limits": asdict(ChildLimits()),
        "wire_limits": asdict(WireLimits()),
    }
    with as_descriptor(ENDLESS.document) as examples:
        child = start(orders, examples)
    assert child is not None
    try:
        said = b""
        while b'"examples"' not in said:
            listening = select.poll()  # of any descriptor, however many there are
            listening.register(child.report, select.POLLIN)
            assert listening.poll(60_000)
            said += os.read(child.report, 4096)
        yield child
    finally:
        end_of(child)


@pytest.fixture(autouse=True)
def _no_forerunner_is_left_from_before() -> None:
    FORKS.renew()
    wait_until(lambda: not forerunners())


@pytest.fixture
def forks() -> Iterator[Forks]:
    """Forks of a forerunner of their own."""
    with closing(Forks()) as made:
        yield made


# --- what a fork is given ---------------------------------------------------------------------------------------------


def seen(child: Child) -> dict[str, Any]:
    """Return what can be seen of a process from outside, as far as it is the same for equal ones."""
    proc = Path(f"/proc/{child.pid}")
    status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines())
    stat = (proc / "stat").read_text().rpartition(") ")[2].split()
    kept = ["PPid", "Uid", "Gid", "Groups", "Threads", "NoNewPrivs", "Seccomp", "Seccomp_filters", "TracerPid"]
    kept += ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd"]
    return {
        "environment": (proc / "environ").read_bytes(),
        "descriptors": sorted(path.readlink().name.split(":")[0] for path in (proc / "fd").iterdir()),
        "folder": (proc / "cwd").readlink(),
        "limits": (proc / "limits").read_text(),
        "niceness": stat[16],
        "leads its group": stat[2] == str(child.pid),
        "is in our session": stat[3] == str(os.getsid(0)),
        "niceness of its session": niceness_of_session(child.pid),
        "preference of the kernel": (proc / "oom_score_adj").read_text(),
        "command": (proc / "cmdline").read_bytes().split(b"\0")[:5],
        "has our network": (proc / "ns/net").readlink() == Path("/proc/self/ns/net").readlink(),
        **{name: status[name] for name in kept},
    }


def test_a_fork_is_given_and_denied_what_a_program_is(tmp_path: Path, forks: Forks) -> None:
    with running(start_program, tmp_path) as program:
        expected = seen(program)
    with running(forks.start, tmp_path) as first, running(forks.start, tmp_path) as second:
        assert (seen(first), seen(second)) == (expected, expected)


def test_a_child_has_the_limits_that_it_was_ordered_and_none_of_the_rights_of_root(
    tmp_path: Path, forks: Forks
) -> None:
    limits = ChildLimits()
    with running(forks.start, tmp_path) as child:
        proc = Path(f"/proc/{child.pid}")
        table = {line[:26].strip(): line[26:].split()[:2] for line in (proc / "limits").read_text().splitlines()}
        rights = {name: int(seen(child)[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")}
        environment = dict(entry.split("=", 1) for entry in seen(child)["environment"].decode().split("\0")[:-1])
        niceness = int(seen(child)["niceness"])
    kept = ["Max address space", "Max cpu time", "Max file size", "Max open files", "Max core file size"]
    assert {name: table[name] for name in kept} == {
        "Max address space": [str(limits.memory_bytes)] * 2,
        "Max cpu time": [str(limits.cpu_seconds), str(limits.cpu_seconds + 35)],
        "Max file size": ["0", "0"],
        "Max open files": [str(limits.open_files)] * 2,
        "Max core file size": ["0", "0"],
    }
    assert table["Max processes"][0] == "0"
    read_only = 1 << 2 if os.geteuid() == 0 else 0
    assert rights == {"CapInh": 0, "CapPrm": read_only, "CapEff": read_only, "CapAmb": 0}
    assert (environment, niceness) == (ENVIRONMENT, min(19, os.nice(0) + 10))


@pytest.mark.skipif(niceness_of_session(os.getpid()) is None, reason="this kernel groups no processes by session")
def test_all_who_inspect_stand_back_behind_a_worker_together(tmp_path: Path, forks: Forks) -> None:
    with running(forks.start, tmp_path) as first, running(forks.start, tmp_path) as second:
        sessions = {os.getsid(first.pid), os.getsid(second.pid)}
        found = [niceness_of_session(child.pid) for child in (first, second)]
    assert (len(sessions), found) == (1, [SESSION_NICENESS] * 2)


def test_forks_share_no_namespace_that_programs_do_not_share(tmp_path: Path, forks: Forks) -> None:
    def shared(one: Child, other: Child) -> set[str]:
        folders = [Path(f"/proc/{child.pid}/ns") for child in (one, other)]
        return {path.name for path in folders[0].iterdir() if path.readlink() == (folders[1] / path.name).readlink()}

    with running(start_program, tmp_path) as one, running(start_program, tmp_path) as other:
        expected = shared(one, other)
    with running(forks.start, tmp_path) as one, running(forks.start, tmp_path) as other:
        assert shared(one, other) == expected


def test_a_fork_holds_none_of_the_forerunners_descriptors(tmp_path: Path, forks: Forks) -> None:
    with running(forks.start, tmp_path) as child:
        (forerunner,) = forerunners()
        assert held(forerunner) == ["null", "null", "null", "socket"]
        assert "socket" not in held(child.pid)


def held(pid: int) -> list[str]:
    return sorted(path.readlink().name.split(":")[0] for path in Path(f"/proc/{pid}/fd").iterdir())


def test_a_forerunner_is_the_same_after_a_model_as_before(tmp_path: Path, forks: Forks) -> None:
    def mapped() -> str:
        (pid,) = forerunners()
        return hashlib.sha256(Path(f"/proc/{pid}/maps").read_bytes()).hexdigest()

    with running(forks.start, tmp_path):
        before = mapped(), forerunners()
    for _ in range(3):
        with running(forks.start, tmp_path):
            pass
    assert (mapped(), forerunners()) == before


def drawing() -> onnx.ModelProto:
    node = helper.make_node("RandomUniformLike", ["x"], ["y"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([node], "drawing", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_what_is_drawn_at_random_in_one_fork_is_not_drawn_in_another(tmp_path: Path) -> None:
    inspector, drawn = SandboxedInspector(), set()
    example = Example(name="e", inputs={"x": X}, outputs={"y": X + 9})
    artifact = lay_out(tmp_path, {"model.onnx": drawing().SerializeToString()})
    for _ in range(3):
        with pytest.raises(ExamplesDiffer) as differ:
            inspector.rehearse(tmp_path, artifact, Examples((example,)))
        drawn.add(differ.value.violations[0].received)
    assert len(drawn) == 3


# --- who ends with whom -----------------------------------------------------------------------------------------------


def test_one_forerunner_serves_one_child_after_the_other(tmp_path: Path) -> None:
    inspect_files(tmp_path, {"model.onnx": models.linear().SerializeToString()})
    before = forerunners()
    inspect_files(tmp_path, {"model.onnx": models.wide_linear(8, 2).SerializeToString()})
    assert (len(before), forerunners()) == (1, before)


def test_a_forerunner_that_is_killed_has_a_successor(tmp_path: Path) -> None:
    source = {"model.onnx": models.linear().SerializeToString()}
    found = inspect_files(tmp_path, source)
    before = forerunners()
    os.kill(before[0], signal.SIGKILL)
    assert inspect_files(tmp_path, source).signature == found.signature
    assert len(set(forerunners()) - set(before)) == 1


def test_a_forerunner_that_is_killed_takes_no_fork_along(tmp_path: Path, forks: Forks) -> None:
    with running(forks.start, tmp_path) as child:
        (forerunner,) = forerunners()
        os.kill(forerunner, signal.SIGKILL)
        wait_until(lambda: not forerunners())
        assert os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG) is None
        assert children_of(os.getpid(), CHILD) == [child.pid]


def test_after_a_crash_there_is_another_forerunner_and_after_a_refusal_the_same(tmp_path: Path) -> None:
    inspect_files(tmp_path, {"model.onnx": models.linear().SerializeToString()})
    first = forerunners()
    with pytest.raises(InvalidArtifact, match="not"):
        inspect_files(tmp_path, {"model.onnx": b"\x08\x08"})
    second = forerunners()
    with pytest.raises(InvalidArtifact, match="SIGFPE"):
        inspect_files(tmp_path, {"model.onnx": models.folded_division().SerializeToString()})
    inspect_files(tmp_path, {"model.onnx": models.linear().SerializeToString()})
    assert (second, set(forerunners()) & set(first)) == (first, set())


def test_a_forerunner_that_nobody_wants_anything_of_ends_and_has_a_successor(tmp_path: Path) -> None:
    with closing(Forks(idle_seconds=0.01)) as forks:
        for _ in range(2):
            with running(forks.start, tmp_path):
                wait_until(lambda: not forerunners())


def test_where_no_forerunner_serves_a_child_is_a_program(forks: Forks, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", "/bin/true")
        assert forks.start({}, None) is None
    assert forks.start({}, None) is None, "it was tried again at once"


_FORKED = """
import os, sys
from pathlib import Path
from registry.inspection.forks import FORKS
from tests.support import models
from tests.support.gateway_process import children_of
from tests.support.inspecting import inspect_files

def inspect():
    inspect_files(Path(sys.argv[1]), {"model.onnx": models.linear().SerializeToString()})
    return children_of(os.getpid(), "registry.inspection.forerunner")

first = inspect()
if os.fork() == 0:
    second = inspect()
    os._exit(len(second) == 1 and second != first)
print(os.waitstatus_to_exitcode(os.wait()[1]), inspect() == first)
"""


def test_a_process_that_has_been_forked_has_a_forerunner_of_its_own(tmp_path: Path) -> None:
    assert run(_FORKED, tmp_path) == "1 True\n"


_KILLED = """
import os, sys
from pathlib import Path
from tests.support import models
from tests.support.gateway_process import children_of
from tests.support.inspecting import inspect_files

inspect_files(Path(sys.argv[1]), {"model.onnx": models.linear().SerializeToString()})
print(*children_of(os.getpid(), "registry.inspection.forerunner"), flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_forerunner_ends_with_its_parent_however_that_ends(tmp_path: Path) -> None:
    pid = int(run(_KILLED, tmp_path))
    wait_until(lambda: FORERUNNER.encode() not in command_of(pid))


def run(program: str, folder: Path) -> str:
    words = [sys.executable, "-c", program, str(folder)]
    root = Path(__file__).parents[2]
    return subprocess.run(words, check=False, capture_output=True, text=True, cwd=root).stdout


_WITH_A_THREAD = """
import threading
from registry.inspection.siblings import is_possible
print(is_possible())
threading.Thread(target=threading.Event().wait, daemon=True).start()
print(is_possible())
"""


def test_nothing_is_forked_of_a_process_with_several_threads(tmp_path: Path) -> None:
    assert run(_WITH_A_THREAD, tmp_path) == "True\nFalse\n"
