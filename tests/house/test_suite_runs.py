"""What fails among real processes is run once more, alone, and named; everything else has one go."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.suite import MOST_FILES, may_be_the_machine

ROOT = Path(__file__).parents[2]

PASSES_THE_SECOND_TIME = """
from pathlib import Path

def test_is_unsteady():
    marker = Path(__file__).with_suffix(".seen")
    was_there = marker.exists()
    marker.touch()
    assert was_there

def test_is_steady():
    pass
"""
ALWAYS_FAILS = """
def test_is_wrong():
    assert False
"""


def run_suite(folder: Path, *, place: str, text: str) -> subprocess.CompletedProcess[str]:
    """Have the tests of a text run as those of a project that has them in that place."""
    (folder / place).mkdir(parents=True)
    (folder / place / "test_made_up.py").write_text(text)
    (folder / "pytest.ini").touch()
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.suite import main; sys.exit(main([{place!r}]))"
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


def test_what_passes_alone_is_no_failure_and_is_named(tmp_path: Path) -> None:
    ended = run_suite(tmp_path, place="tests/e2e", text=PASSES_THE_SECOND_TIME)

    assert ended.returncode == 0, ended.stdout
    assert ended.stdout.endswith(
        "Passed only when alone, and to be mended:\n  tests/e2e/test_made_up.py::test_is_unsteady\n"
    )


def test_what_fails_twice_fails(tmp_path: Path) -> None:
    ended = run_suite(tmp_path, place="tests/e2e", text=ALWAYS_FAILS)

    assert ended.returncode == 1
    assert ended.stdout.count("1 failed in ") == 2


def test_what_needs_no_process_has_one_go(tmp_path: Path) -> None:
    ended = run_suite(tmp_path, place="tests/unit", text=PASSES_THE_SECOND_TIME)

    assert ended.returncode == 1
    assert "once more" not in ended.stdout


def test_a_file_that_cannot_be_read_has_one_go(tmp_path: Path) -> None:
    ended = run_suite(tmp_path, place="tests/e2e", text="import nothing_of_that_name")

    assert ended.returncode == 2
    assert "once more" not in ended.stdout


@pytest.mark.parametrize("count", [1, MOST_FILES])
def test_a_few_files_may_be_the_machine(count: int) -> None:
    assert may_be_the_machine(
        [f"tests/e2e/test_{number}.py::test_{twice}" for number in range(count) for twice in "ab"]
    )


@pytest.mark.parametrize("count", [0, MOST_FILES + 1])
def test_no_file_is_nothing_and_many_are_not_the_machine(count: int) -> None:
    assert not may_be_the_machine([f"tests/browser/test_{number}.py::test_a" for number in range(count)])


def test_one_that_needs_no_process_is_not_the_machine() -> None:
    assert not may_be_the_machine(["tests/e2e/test_a.py::test_a", "tests/unit/test_b.py::test_b"])
