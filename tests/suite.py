"""Runs the tests, and those that have failed among real processes once more, alone.

1. These share the machine's few processors with the tests beside them, and with whatever else runs there. What fails
   with them and passes alone holds a change up for nothing that the change has done.
2. Such a test is run again once, by a pytest of its own with nothing beside it. All other tests fail the first time,
   and so do all if it is more than ``MOST_FILES`` files that have failures: then it is not the machine.
3. Whatever has passed only then is named at the end, below its first failure. It is to be mended all the same: what
   happens on a busy machine here happens to somebody else as well.
"""

import subprocess
import sys
from collections.abc import Sequence
from typing import Final

import pytest

AMONG_PROCESSES: Final = ("tests/browser/", "tests/contracts/", "tests/e2e/")
MOST_FILES: Final = 5


class Failures:
    """A plugin that keeps which tests have failed, in their order; what cannot be collected counts as well."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the test if this step of it has failed: a fixture, the test itself, or what comes after."""
        if report.failed:
            self._names[report.nodeid] = None

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep the file if it cannot be read."""
        if report.failed:
            self._names[report.nodeid] = None

    def names(self) -> list[str]:
        """Return the tests as pytest calls them."""
        return list(self._names)


def may_be_the_machine(names: Sequence[str]) -> bool:
    """Return whether these failures are to be looked at once more (rule 2)."""
    files = {name.partition("::")[0] for name in names}
    return 0 < len(files) <= MOST_FILES and all(name.startswith(AMONG_PROCESSES) and "::" in name for name in names)


def main(arguments: Sequence[str]) -> int:
    """Run pytest with these arguments, and return how it ended: as pytest does, 0 where all is well."""
    failures = Failures()
    status = int(pytest.main(list(arguments), plugins=[failures]))
    names = failures.names()
    if status != pytest.ExitCode.TESTS_FAILED or not may_be_the_machine(names):
        return status
    print(f"\n{len(names)} failed; once more, alone:", flush=True)
    status = subprocess.run([sys.executable, "-m", "pytest", *names], check=False).returncode
    if status == 0:
        print("\nPassed only when alone, and to be mended:", *names, sep="\n  ")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
