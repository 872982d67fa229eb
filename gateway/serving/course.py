"""What the runs of a version follow from: how long they take, what they give, and whether they may be shared."""

from collections.abc import Callable
from typing import Final

from gateway.serving.batching import BatchRules
from gateway.serving.cache_entry import Key
from gateway.serving.pace import Pace
from registry.batching import NEVER, BatchRule
from registry.records import Version
from registry.standing import Isolation

_MAX_COURSES: Final = 20_000


class Course:
    """Of one version, as the registry has it now."""

    __slots__ = ("check_after", "check_at", "is_away", "isolation", "key", "outputs", "pace", "rule", "version")

    def __init__(self, version: Version, pace: Pace, rule: BatchRule, isolation: Isolation) -> None:
        self.key: Key = (version.model, version.number)
        self.version = version
        self.pace = pace
        self.outputs = tuple(spec.name for spec in version.signature.outputs)
        self.check_at = 0.0
        """When a shared run is to be checked next (``live_checks``)."""
        self.check_after = 1.0
        self.is_away = False
        """Whether it is not run in this process."""
        self.settle(rule, isolation)

    def settle(self, rule: BatchRule, isolation: Isolation) -> None:
        """Take note of which of its requests may share runs, and of where these are made; alone, in children."""
        self.isolation = isolation
        self.is_away = isolation is not Isolation.IN_PROCESS
        self.rule = NEVER if self.is_away else rule


class Courses:
    """Those of the versions that were asked for lately; belongs to one event loop."""

    def __init__(self, rules: BatchRules, isolation_of: Callable[[Version], Isolation]) -> None:
        self._rules = rules
        self._isolation_of = isolation_of
        self._courses: dict[Key, Course] = {}

    def of(self, version: Version) -> Course:
        """Return the version's course; what was learned stays when its owner changes what may change about it."""
        course = self._courses.get((version.model, version.number))
        if course is not None and course.version is version:
            return course
        return self._make(version, None if course is None else course.pace)

    def reconsider(self, version: Version) -> None:
        """Look up anew whether runs may be shared, and where they are made."""
        self.reconsider_key((version.model, version.number))

    def reconsider_key(self, key: Key) -> Course | None:
        """Look up anew what may have changed about a version, and return its course if there is one."""
        course = self._courses.get(key)
        if course is not None:
            course.settle(self._rules.of(course.version), self._isolation_of(course.version))
        return course

    def forget(self, key: Key) -> None:
        """Keep nothing of a version that is in service no more."""
        self._courses.pop(key, None)

    def _make(self, version: Version, pace: Pace | None) -> Course:
        if len(self._courses) >= _MAX_COURSES:
            del self._courses[next(iter(self._courses))]  # it will be learned again
        course = Course(version, pace or Pace(version), self._rules.of(version), self._isolation_of(version))
        self._courses[course.key] = course
        return course
