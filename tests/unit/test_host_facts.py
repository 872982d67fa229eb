"""What a container's limits come to."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from registry.inspection.host import cpu_quota, usable_cpus

LIMITS: Mapping[str, tuple[Mapping[str, str], int | None]] = {
    "two CPUs": ({"cpu.max": "200000 100000\n"}, 2),
    "a CPU and a half": ({"cpu.max": "150000 100000\n"}, 2),
    "a tenth of one": ({"cpu.max": "10000 100000\n"}, 1),
    "no limit": ({"cpu.max": "max 100000\n"}, None),
    "two CPUs, the old way": ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
    "no limit, the old way": ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
    "no such files": ({}, None),
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_quota_of_cpus_is_rounded_up(tmp_path: Path, name: str) -> None:
    files, cpus = LIMITS[name]
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    assert cpu_quota(tmp_path) == cpus


def test_there_is_always_one_cpu_to_use() -> None:
    assert usable_cpus() >= 1
