"""How the child is kept: what the parent imports, what the child is given, who has to wait."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from registry.errors import Overloaded
from registry.inspection.limits import MIB, ChildLimits
from registry.inspection.sandbox import SandboxedInspector
from tests.support import models
from tests.support.gateway_process import wait_until
from tests.support.inspecting import inspect_files, lay_out


def test_the_parent_imports_no_parser() -> None:
    program = "import sys, registry.inspection.sandbox; print(*{'onnx', 'onnxruntime', 'google'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert said.strip() == ""


def test_limits_grow_with_the_file() -> None:
    limits = ChildLimits()
    small, large = limits.for_size(1000), limits.for_size(250 * MIB)
    assert (small.cpu_seconds, small.wall_seconds) == (limits.cpu_seconds, limits.wall_seconds)
    assert small.memory_bytes == limits.memory_bytes + 4000
    assert large.cpu_seconds == limits.cpu_seconds + 3 * limits.cpu_seconds_per_100_mib
    assert large.wall_seconds == limits.wall_seconds + 3 * limits.wall_seconds_per_100_mib
    assert large.for_size(250 * MIB) == large


CONFINED = """
import os, resource, sys
from pathlib import Path
from registry.inspection.confinement import confine, forbid_processes
from registry.inspection.limits import ChildLimits
confine(ChildLimits(), os.getppid() + int(sys.argv[2]))
try:
    Path(sys.argv[1]).write_bytes(b"x")
except OSError:
    print("writes nothing")
forbid_processes()
print(resource.getrlimit(resource.RLIMIT_NPROC), resource.getrlimit(resource.RLIMIT_CORE))
print(*(line for line in Path("/proc/self/status").read_text().splitlines() if "NoNewPrivs" in line))
"""


def run_confined(target: Path, *, another_parent: bool) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-c", CONFINED, target, str(int(another_parent))]
    return subprocess.run(arguments, check=False, capture_output=True, text=True)


def test_a_confined_process_writes_nothing_and_gains_no_rights(tmp_path: Path) -> None:
    done = run_confined(tmp_path / "written", another_parent=False)
    assert done.stdout.splitlines() == ["writes nothing", "(0, 0) (0, 0)", "NoNewPrivs:\t1"]
    assert (tmp_path / "written").read_bytes() == b""


def test_a_child_whose_parent_has_gone_does_nothing(tmp_path: Path) -> None:
    done = run_confined(tmp_path / "written", another_parent=True)
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (1, "", [])


def test_who_finds_every_turn_taken_waits_for_a_bounded_time(tmp_path: Path) -> None:
    inspector = SandboxedInspector(max_at_once=1, limits=ChildLimits(wall_seconds=0))
    artifact = lay_out(tmp_path, {"model.onnx": models.linear().SerializeToString()})
    with inspector._turns, pytest.raises(Overloaded):
        inspector.inspect(tmp_path, artifact)


def test_several_threads_share_one_inspector(tmp_path: Path) -> None:
    inspector, found = SandboxedInspector(max_at_once=2), []

    def work(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        octets = models.linear(features=number + 1).SerializeToString()
        found.append(inspect_files(folder, {"model.onnx": octets}, inspector).signature.inputs[0].shape)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found, key=str) == [("batch", number) for number in range(1, 5)]


def test_an_inspector_that_is_closed_kills_its_children_and_starts_no_more(tmp_path: Path) -> None:
    inspector = SandboxedInspector()
    artifact = lay_out(tmp_path, {"model.onnx": models.loop().SerializeToString()})
    errors: list[Exception] = []

    def inspect() -> None:
        try:
            inspector.inspect(tmp_path, artifact)
        except Overloaded as error:
            errors.append(error)

    thread = threading.Thread(target=inspect)
    thread.start()
    wait_until(lambda: inspector.child_count == 1)
    inspector.close()
    thread.join()
    with pytest.raises(Overloaded, match="shutting down"):
        inspector.inspect(tmp_path, artifact)
    assert [error.args for error in errors] == [("the gateway is shutting down",)]


_CRASH_FROM_A_LARGE_PROCESS = """
import sys
from pathlib import Path
from registry.errors import InvalidArtifact
from registry.inspection.limits import ChildLimits
from registry.inspection.sandbox import SandboxedInspector
from tests.support import models
from tests.support.inspecting import inspect_files

room = bytearray(700 << 20)
room[::4096] = bytes(len(room[::4096]))
del room
inspector = SandboxedInspector(limits=ChildLimits(memory_bytes=1 << 30))
try:
    inspect_files(Path(sys.argv[1]), {"model.onnx": models.folded_division().SerializeToString()}, inspector)
except InvalidArtifact as error:
    print(error.code)
"""


def test_a_crash_is_not_taken_for_a_lack_of_memory_because_the_parent_is_large(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _CRASH_FROM_A_LARGE_PROCESS, str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stdout == "inspection_crashed\n"
