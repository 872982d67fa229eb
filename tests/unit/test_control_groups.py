"""What this process's groups may take, in made-up trees of either version's files."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from registry.inspection.control_groups import cpu_quota, memory_limit_bytes

GIB = 1024**3
Files = Mapping[str, str]

UNIFIED = "0::/system.slice/sardonyx.service\n"
"""How a service of systemd is in a group: the root of the tree has no limits, not even their files."""

SPLIT = "5:cpu,cpuacct:/system.slice/sardonyx.service\n4:memory:/system.slice/sardonyx.service\n0::/\n"
UNLIMITED = f"{2**63 - 4096}\n"

MEMORY: Mapping[str, tuple[str, Files, int | None]] = {
    "a service": (UNIFIED, {"system.slice/sardonyx.service/memory.max": f"{4 * GIB}\n"}, 4 * GIB),
    "a slice with less than its service": (
        UNIFIED,
        {"system.slice/memory.max": f"{2 * GIB}\n", "system.slice/sardonyx.service/memory.max": f"{4 * GIB}\n"},
        2 * GIB,
    ),
    "a service without a limit": (UNIFIED, {"system.slice/sardonyx.service/memory.max": "max\n"}, None),
    "a service beside": (UNIFIED, {"system.slice/other.service/memory.max": f"{GIB}\n"}, None),
    "a container": ("0::/\n", {"memory.max": f"{GIB}\n"}, GIB),
    "a container that sees the host's name": ("0::/docker/1f2e\n", {"memory.max": f"{GIB}\n"}, GIB),
    "a group beside the root": ("0::/../other\n", {"memory.max": "max\n", "../other/memory.max": "1\n"}, None),
    "a name with a colon and a letter": ("0::/a:ü\n", {"a:ü/memory.max": f"{GIB}\n"}, GIB),
    "no word of groups": ("", {"memory.max": f"{GIB}\n"}, GIB),
    "a service, version 1": (
        SPLIT,
        {
            "memory/memory.limit_in_bytes": UNLIMITED,
            "memory/system.slice/memory.limit_in_bytes": UNLIMITED,
            "memory/system.slice/sardonyx.service/memory.limit_in_bytes": f"{4 * GIB}\n",
        },
        4 * GIB,
    ),
    "a container, version 1": ("4:memory:/docker/1f2e\n", {"memory/memory.limit_in_bytes": f"{GIB}\n"}, GIB),
    "nothing": (UNIFIED, {}, None),
}

CPUS: Mapping[str, tuple[str, Files, float | None]] = {
    "a service": (UNIFIED, {"system.slice/sardonyx.service/cpu.max": "150000 100000\n"}, 1.5),
    "a slice with less than its service": (
        UNIFIED,
        {"system.slice/cpu.max": "50000 100000\n", "system.slice/sardonyx.service/cpu.max": "100000 50000\n"},
        0.5,
    ),
    "a service without a limit": (UNIFIED, {"system.slice/sardonyx.service/cpu.max": "max 100000\n"}, None),
    "a container": ("0::/\n", {"cpu.max": "200000 100000\n"}, 2.0),
    "a service, version 1": (
        SPLIT,
        {
            "cpu/cpu.cfs_quota_us": "-1\n",
            "cpu/cpu.cfs_period_us": "100000\n",
            "cpu/system.slice/sardonyx.service/cpu.cfs_quota_us": "250000\n",
            "cpu/system.slice/sardonyx.service/cpu.cfs_period_us": "100000\n",
        },
        2.5,
    ),
    "a container, version 1": (
        "5:cpu,cpuacct:/docker/1f2e\n",
        {"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"},
        0.5,
    ),
    "another controller's group": ("5:cpuset:/few\n", {"cpu/few/cpu.max": "1 2\n"}, None),
    "nonsense": ("0::/\n", {"cpu.max": "1 0"}, None),
    "nothing": (UNIFIED, {}, None),
}


def machine(folder: Path, groups: str, files: Files) -> Path:
    """Make a machine that says so of its groups."""
    texts = {"proc/self/cgroup": groups, **{f"sys/fs/cgroup/{name}": text for name, text in files.items()}}
    (folder / "sys/fs/cgroup").mkdir(parents=True)
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", MEMORY)
def test_the_least_limit_of_memory_counts(tmp_path: Path, name: str) -> None:
    groups, files, limit = MEMORY[name]

    assert memory_limit_bytes(machine(tmp_path, groups, files)) == limit


@pytest.mark.parametrize("name", CPUS)
def test_the_least_quota_of_processors_counts(tmp_path: Path, name: str) -> None:
    groups, files, quota = CPUS[name]

    assert cpu_quota(machine(tmp_path, groups, files)) == quota


def test_a_machine_without_such_files_limits_nothing(tmp_path: Path) -> None:
    assert (memory_limit_bytes(tmp_path), cpu_quota(tmp_path)) == (None, None)
