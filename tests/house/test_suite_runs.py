"""What fails among real processes is run once more, alone, and named; everything else has one go."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.suite import MOST_FILES, find_files

ROOT = Path(__file__).parents[2]
BESIDE_EACH_OTHER = ("-n", "2", "--dist", "loadfile")

SECOND_TIME = """
from pathlib import Path

def is_second_time():
    marker = Path(__file__).with_suffix(".seen")
    was_there = marker.exists()
    marker.touch()
    return was_there
"""
UNSTEADY = f"""{SECOND_TIME}
def test_is_unsteady():
    assert is_second_time()

def test_is_steady():
    pass
"""
WRONG = """
def test_is_wrong():
    assert False
"""
LEAVES_SOMETHING = """
import pytest

@pytest.fixture(scope="module")
def shared():
    return []

def test_leaves_something(shared):
    shared.append(1)

def test_finds_it(shared):
    assert shared == []
"""
ENDS_BADLY = """
import pytest

@pytest.fixture(scope="module")
def shared():
    left = []
    yield left
    assert left == []

def test_leaves_something(shared):
    shared.append(1)

def test_is_last(shared):
    pass
"""
IS_SKIPPED_THEN = f"""{SECOND_TIME}
import pytest

def test_is_skipped_the_second_time():
    if is_second_time():
        pytest.skip("not now")
    assert False
"""
CRASHES = f"""{SECOND_TIME}
import os

def test_crashes_the_first_time():
    if not is_second_time():
        os.abort()
"""
WARNS = """
def test_warns():
    import warnings
    warnings.warn("about something")
"""


def run_suite(folder: Path, text: str, *options: str, place: str = "tests/e2e") -> subprocess.CompletedProcess[str]:
    """Have the tests of a text run as those of a project that has them in that place."""
    (folder / place).mkdir(parents=True)
    (folder / place / "test_made_up.py").write_text(text)
    (folder / "pytest.ini").touch()
    arguments = [*BESIDE_EACH_OTHER, *options, place]
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.suite import main; sys.exit(main({arguments!r}))"
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


def test_what_passes_alone_is_no_failure_and_is_named(tmp_path: Path) -> None:
    ended = run_suite(tmp_path, UNSTEADY)

    assert ended.returncode == 0, ended.stdout
    assert ended.stdout.endswith(
        "Passed only when alone, and to be mended:\n  tests/e2e/test_made_up.py::test_is_unsteady\n"
    )


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (WRONG, ()),
        (LEAVES_SOMETHING, ()),
        (ENDS_BADLY, ()),
        (IS_SKIPPED_THEN, ()),
        (WARNS, ("-W", "error")),
    ],
    ids=["wrong", "leaves something", "ends badly", "is skipped then", "warns"],
)
def test_what_fails_with_its_file_alone_fails(tmp_path: Path, text: str, options: tuple[str, ...]) -> None:
    ended = run_suite(tmp_path, text, *options)

    assert ended.returncode == 1
    assert "once more, alone:" in ended.stdout
    assert "Passed only when alone" not in ended.stdout


@pytest.mark.parametrize(
    ("text", "options"),
    [(UNSTEADY, ("-n", "0", "-x")), (UNSTEADY, ("--maxfail=1",)), (CRASHES, ())],
    ids=["to end at the first", "at the first of some processes", "crashes"],
)
def test_what_did_not_come_to_its_end_fails(tmp_path: Path, text: str, options: tuple[str, ...]) -> None:
    ended = run_suite(tmp_path, text, *options)

    assert ended.returncode != 0
    assert "once more" not in ended.stdout


def test_what_needs_no_process_has_one_go(tmp_path: Path) -> None:
    ended = run_suite(tmp_path, UNSTEADY, place="tests/unit")

    assert ended.returncode == 1
    assert "once more" not in ended.stdout


def test_a_file_that_cannot_be_read_has_one_go(tmp_path: Path) -> None:
    ended = run_suite(tmp_path, "import nothing_of_that_name")

    assert ended.returncode != 0
    assert "once more" not in ended.stdout


@pytest.mark.parametrize("count", [1, MOST_FILES])
def test_a_few_files_may_be_the_machine(count: int) -> None:
    files = [f"tests/e2e/test_{number}.py" for number in range(count)]

    assert find_files([f"{file}::test_{letter}" for file in files for letter in "ab"]) == files


def test_many_files_are_not_the_machine() -> None:
    assert find_files([f"tests/browser/test_{number}.py::test_a" for number in range(MOST_FILES + 1)]) == []


def test_one_that_needs_no_process_is_not_the_machine() -> None:
    assert find_files(["tests/e2e/test_a.py::test_a", "tests/unit/test_b.py::test_b"]) == []
