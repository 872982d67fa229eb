"""Threads beside those that requests run in, lent to sessions whose runs are shorter with several.

1. A version's report says how many pay (``registry.threads``), as far as this worker's share of the CPUs goes: those
   that the process may use, divided by the workers.
2. All sessions together have at most ``THREADS_PER_CPU`` such threads for each of these CPUs, however many are loaded:
   who comes when they are all given out has what is left, or one thread, until it is loaded again.
3. A session with several threads is a second one of its model. All of these together take at most their part of the
   memory budget.
4. What was lent comes back when the session is closed, or as soon as it is found that it cannot use it.
"""

import threading
from collections.abc import Callable

from registry.records import Version
from registry.threads import ALONE, ThreadReport, ThreadRule, thread_rule_of

THREADS_PER_CPU = 2


class Loan:
    """What one session may have beside its own thread."""

    __slots__ = ("_give_back", "extra_bytes", "is_out", "rule")

    def __init__(self, rule: ThreadRule, extra_bytes: int, give_back: "Callable[[Loan], None]") -> None:
        self.rule = rule
        self.extra_bytes = extra_bytes
        self.is_out = rule.threads > 1
        """Whether it has not come back yet."""
        self._give_back = give_back

    @property
    def extra_threads(self) -> int:
        """How many threads it is."""
        return self.rule.threads - 1

    def give_back(self) -> None:
        """Let others have it; again does nothing."""
        self._give_back(self)


class SpareThreads:
    """One worker's; safe for threads.

    Args:
        host: ``registry.inspection.host.host_key``.
        cpus: this worker's share.
        budget_bytes: what second sessions may take together.
        find_report: tells what was found out on this host about a version, in a moment.
    """

    def __init__(
        self, *, host: str, cpus: int, budget_bytes: int, find_report: Callable[[Version], ThreadReport | None]
    ) -> None:
        self._host = host
        self._cpus = cpus
        self._budget_bytes = budget_bytes
        self._find_report = find_report
        self._lock = threading.Lock()
        self._total = THREADS_PER_CPU * cpus if cpus > 1 else 0
        self._lent_threads = 0
        self._lent_bytes = 0

    @property
    def lent_count(self) -> int:
        """How many threads are lent."""
        return self._lent_threads

    def borrow(self, version: Version, extra_bytes: int) -> Loan:
        """Lend what a version's second session could use, of what is left; to be given back when that is closed.

        Args:
            version: which.
            extra_bytes: what a second session takes.
        """
        report = self._find_report(version)
        with self._lock:
            loan = Loan(self._rule(report, extra_bytes), extra_bytes, self._take_back)
            if loan.is_out:
                self._lent_threads += loan.extra_threads
                self._lent_bytes += loan.extra_bytes
        return loan

    def would_lend(self, version: Version, extra_bytes: int) -> bool:
        """Tell whether ``borrow`` would lend anything now."""
        return self._rule(self._find_report(version), extra_bytes).threads > 1

    def _rule(self, report: ThreadReport | None, extra_bytes: int) -> ThreadRule:
        if extra_bytes > self._budget_bytes - self._lent_bytes:
            return ALONE
        return thread_rule_of(report, self._host, min(self._cpus, 1 + self._total - self._lent_threads))

    def _take_back(self, loan: Loan) -> None:
        with self._lock:
            if loan.is_out:
                loan.is_out = False
                self._lent_threads -= loan.extra_threads
                self._lent_bytes -= loan.extra_bytes
