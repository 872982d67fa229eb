"""What is known of how versions are run, and for how long."""

from gateway.serving.batching import BatchRules
from gateway.serving.course import Courses
from registry.records import Version
from registry.standing import Isolation
from tests.support.serving_models import make_version

A = make_version("a")


def in_process(_version: Version) -> Isolation:
    return Isolation.IN_PROCESS


def test_what_was_learned_of_a_version_is_kept_until_it_is_forgotten() -> None:
    courses = Courses(BatchRules("here", lambda version: version.inspection.batch), in_process)
    first = courses.of(A)
    kept = courses.of(A) is first
    courses.forget((A.model, A.number))
    assert (kept, courses.of(A) is first) == (True, False)


def test_what_was_never_asked_for_can_be_forgotten() -> None:
    Courses(BatchRules("here", lambda version: version.inspection.batch), in_process).forget(("nobody", 1))
