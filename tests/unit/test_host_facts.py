"""What a process's limits come to."""

import os

import pytest

from registry.inspection.host import usable_cpus


@pytest.mark.parametrize(
    ("quota", "cpus"),
    [(None, 4), (0.1, 1), (1.5, 2), (2.0, 2), (64.0, 4)],
    ids=["no quota", "a tenth of one", "a CPU and a half", "two", "more than there are"],
)
def test_a_quota_of_cpus_is_rounded_up(monkeypatch: pytest.MonkeyPatch, quota: float | None, cpus: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr("registry.inspection.host.cpu_quota", lambda: quota)

    assert usable_cpus() == cpus


def test_there_is_always_one_cpu_to_use() -> None:
    assert usable_cpus() >= 1
