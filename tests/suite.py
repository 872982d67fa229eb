"""Runs the tests, and the files that have failures among real processes once more, alone.

1. These share the machine's few processors with the tests beside them, and with whatever else runs there. What fails
   with them and passes alone holds a change up for nothing that the change has done.
2. Such a file is run again as a whole, with the same options and nothing beside it: its tests share a gateway, and what
   one of them does to the next is no fault of the machine. Each test that had failed must pass then.
3. Everything else fails the first time: other tests, what cannot be collected, a process that has crashed, a run that
   ended before its end, and failures in more than ``MOST_FILES`` files.
4. Whatever has passed only then is named, below its first failure. It is to be mended all the same: what happens on a
   busy machine here happens to somebody else as well.
"""

import sys
from collections.abc import Sequence
from typing import Final

import pytest

AMONG_PROCESSES: Final = ("tests/browser/", "tests/contracts/", "tests/e2e/")
MOST_FILES: Final = 5
STEPS: Final = ("setup", "call", "teardown")


class Outcomes:
    """A plugin that keeps how the tests have ended, and what they were run with."""

    def __init__(self) -> None:
        self.failed: dict[str, None] = {}
        """In their order."""
        self.passed: set[str] = set()
        self.options: list[str] = []
        """The arguments that do not say which tests."""
        self.is_whole = True
        """False if a process has crashed, something could not be collected, or it was to end at the first failure."""

    def pytest_configure(self, config: pytest.Config) -> None:
        """Keep the options."""
        places = set(config.option.file_or_dir)
        self.options = [word for word in config.invocation_params.args if word not in places]
        self.is_whole = not config.option.maxfail

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep how a step of a test has ended: its fixtures, itself, or what comes after."""
        self.is_whole = self.is_whole and report.when in STEPS
        if report.failed:
            self.failed[report.nodeid] = None
        elif report.when == "call" and report.passed:
            self.passed.add(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep whether a file could be read."""
        self.is_whole = self.is_whole and not report.failed


def find_files(names: Sequence[str]) -> list[str]:
    """Return the files of these tests, if they are to be run once more (rule 3); else none."""
    files = list(dict.fromkeys(name.partition("::")[0] for name in names))
    may_be_the_machine = len(files) <= MOST_FILES and all(name.startswith(AMONG_PROCESSES) for name in files)
    return files if may_be_the_machine else []


def main(arguments: Sequence[str]) -> int:
    """Run pytest with these arguments, and return how it ended: as pytest does, 0 where all is well."""
    first, second = Outcomes(), Outcomes()
    status = int(pytest.main(list(arguments), plugins=[first]))
    files = find_files(list(first.failed)) if status == pytest.ExitCode.TESTS_FAILED and first.is_whole else []
    if not files:
        return status
    print(f"\n{len(first.failed)} failed; once more, alone:", *files, sep="\n  ", flush=True)
    again = int(pytest.main([*first.options, "-n0", *files], plugins=[second]))
    if again == pytest.ExitCode.OK and second.passed.issuperset(first.failed):
        print("\nPassed only when alone, and to be mended:", *first.failed, sep="\n  ")
        return again
    return again or status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
