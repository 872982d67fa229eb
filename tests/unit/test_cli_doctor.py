import locale
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.cli.checks import Check, Verdict
from gateway.cli.doctor import check_folder
from gateway.cli.machine_checks import STRING_LOCALE, check_clock, check_cpus, check_locale


def test_a_folder_is_made_tried_and_left_empty(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "cache"

    assert check_folder(folder) == f"{folder} can be written"
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")

    with pytest.raises(OSError, match="exists"):
        check_folder(tmp_path / "cache")


def test_the_locale_is_tried_and_put_back() -> None:
    before = locale.setlocale(locale.LC_CTYPE)

    check = check_locale()

    assert locale.setlocale(locale.LC_CTYPE) == before
    good = Check(name="locale", verdict=Verdict.OK, detail=STRING_LOCALE)
    assert check == good or (check.verdict, STRING_LOCALE in check.detail) == (Verdict.WARNING, True)


@pytest.mark.parametrize(
    ("quota", "workers", "run_threads", "verdict", "advice"),
    [
        (None, 4, 0, Verdict.OK, ""),
        (1.5, 1, 0, Verdict.OK, ""),
        (1.5, 2, 0, Verdict.WARNING, "SARDONYX_WORKERS=1, or a larger quota"),
        (None, 5, 0, Verdict.WARNING, "SARDONYX_WORKERS=4, or a larger quota"),
        (None, 2, 4, Verdict.WARNING, "SARDONYX_RUN_THREADS=2, or fewer workers"),
        (0.5, 1, 0, Verdict.WARNING, "SARDONYX_WORKERS=1, or a larger quota"),
        (8.0, 4, 1, Verdict.OK, ""),
    ],
    ids=["all", "a quota", "beyond a quota", "beyond the CPUs", "threads", "half a CPU", "a quota beyond the CPUs"],
)
def test_processors_are_held_against_workers_and_threads(
    quota: float | None, workers: int, run_threads: int, verdict: Verdict, advice: str
) -> None:
    check = check_cpus(affinity=4, quota=quota, workers=workers, run_threads=run_threads)

    assert (check.verdict, check.advice) == (verdict, advice)


BEFORE = datetime(2026, 11, 28, 12, 0, 0, tzinfo=UTC)
AFTER = BEFORE + timedelta(seconds=4)


@pytest.mark.parametrize(
    ("there", "verdict", "detail"),
    [
        (BEFORE, Verdict.OK, "as this machine's"),
        (BEFORE - timedelta(seconds=3), Verdict.OK, "as this machine's"),
        (AFTER + timedelta(seconds=2), Verdict.OK, "as this machine's"),
        (BEFORE - timedelta(seconds=31), Verdict.WARNING, "30.0 s behind this machine's"),
        (AFTER + timedelta(seconds=30), Verdict.WARNING, "30.0 s ahead of this machine's"),
        (AFTER + timedelta(hours=1), Verdict.FAILED, "3600.0 s ahead of this machine's"),
    ],
    ids=["right", "whole seconds", "nearly right", "behind", "ahead", "an hour"],
)
def test_another_clock_is_held_against_this_one(there: datetime, verdict: Verdict, detail: str) -> None:
    check = check_clock("store clock", there, before=BEFORE, after=AFTER)

    assert (check.verdict, check.detail) == (verdict, detail)
