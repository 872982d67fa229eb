"""Which loads wait for the store, and which do not."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event, current_thread

from gateway.serving.load_places import LoadPlaces
from registry.artifact import Artifact
from registry.records import Version
from tests.support.serving_models import make_version

AT_HAND, FAR = make_version("iris", 1), make_version("iris", 2)


class Cached:
    """Has one version's artifact."""

    def has(self, artifact: Artifact) -> bool:
        return artifact == AT_HAND.artifact


def where(*_anything: object) -> str:
    return current_thread().name.partition("_")[0]


def test_what_is_at_hand_does_not_wait_behind_what_is_fetched() -> None:
    answered = Event()
    near, far = ThreadPoolExecutor(1, thread_name_prefix="near"), ThreadPoolExecutor(1, thread_name_prefix="far")
    with near, far:
        places = LoadPlaces([Cached()], Cached(), near=near, far=far)

        def fetch(_version: Version) -> str:
            answered.wait()
            return where()

        fetching = [places.submit(fetch, FAR) for _ in range(3)]
        assert places.submit(where, AT_HAND).result() == "near"
        assert places.submit(where).result() == "near"
        assert not any(future.done() for future in fetching)
        answered.set()
        assert [future.result() for future in fetching] == ["far"] * 3


class Nothing:
    """Has no artifact."""

    def has(self, artifact: Artifact) -> bool:
        del artifact
        return False


def test_work_that_would_have_to_fetch_steps_aside_and_is_begun_again_where_others_fetch() -> None:
    near, far = ThreadPoolExecutor(1, thread_name_prefix="near"), ThreadPoolExecutor(1, thread_name_prefix="far")
    begun: list[str] = []
    with near, far:
        places = LoadPlaces([Cached()], Nothing(), near=near, far=far)

        def load(version: Version) -> str:
            begun.append(where())
            places.step_aside(version.artifact)
            return where()

        assert places.submit(load, AT_HAND).result() == "far"
        assert places.submit(where, AT_HAND).result() == "near"
    assert begun == ["near", "far"]


def test_work_whose_copy_is_at_hand_does_not_step_aside() -> None:
    near, far = ThreadPoolExecutor(1, thread_name_prefix="near"), ThreadPoolExecutor(1, thread_name_prefix="far")
    with near, far:
        places = LoadPlaces([Cached()], Cached(), near=near, far=far)

        def load(version: Version) -> str:
            places.step_aside(version.artifact)
            return where()

        assert places.submit(load, AT_HAND).result() == "near"


def test_an_error_of_work_that_is_at_hand_reaches_who_waits() -> None:
    def fail(_version: Version) -> None:
        raise ZeroDivisionError

    with ThreadPoolExecutor(1) as near, ThreadPoolExecutor(1) as far:
        future = LoadPlaces([Cached()], Cached(), near=near, far=far).submit(fail, AT_HAND)
        assert isinstance(future.exception(), ZeroDivisionError)


def test_work_that_has_to_wait_for_something_else_is_begun_again_where_that_holds_up_nobody() -> None:
    near, far = ThreadPoolExecutor(1, thread_name_prefix="near"), ThreadPoolExecutor(1, thread_name_prefix="far")
    begun: list[str] = []
    with near, far:
        places = LoadPlaces([Cached()], Cached(), near=near, far=far)

        def load(_version: Version) -> str:
            begun.append(where())
            places.go_far()
            return where()

        assert places.submit(load, AT_HAND).result() == "far"
        assert places.submit(where, AT_HAND).result() == "near"
    assert begun == ["near", "far"]


def test_while_work_waits_for_something_else_what_is_at_hand_is_loaded() -> None:
    answered = Event()
    near, far = ThreadPoolExecutor(1, thread_name_prefix="near"), ThreadPoolExecutor(1, thread_name_prefix="far")
    with near, far:
        places = LoadPlaces([Cached()], Cached(), near=near, far=far)

        def load(_version: Version) -> str:
            places.go_far()
            answered.wait()
            return where()

        waiting = places.submit(load, AT_HAND)
        assert places.submit(where, AT_HAND).result() == "near"
        assert not waiting.done()
        answered.set()
        assert waiting.result() == "far"


def test_work_that_is_far_already_is_begun_once() -> None:
    begun: list[str] = []
    with ThreadPoolExecutor(1) as near, ThreadPoolExecutor(1, thread_name_prefix="far") as far:
        places = LoadPlaces([Cached()], Cached(), near=near, far=far)

        def load(_version: Version) -> None:
            begun.append(where())
            places.go_far()

        places.submit(load, FAR).result()
    assert begun == ["far"]


def test_an_error_of_work_that_has_gone_far_reaches_who_waits() -> None:
    with ThreadPoolExecutor(1) as near, ThreadPoolExecutor(1) as far:
        places = LoadPlaces([Cached()], Cached(), near=near, far=far)

        def fail(_version: Version) -> None:
            places.go_far()
            raise ZeroDivisionError

        assert isinstance(places.submit(fail, AT_HAND).exception(), ZeroDivisionError)


def test_whoever_is_in_no_place_goes_on_where_they_are() -> None:
    with ThreadPoolExecutor(1) as near, ThreadPoolExecutor(1) as far:
        places = LoadPlaces([Cached()], Cached(), near=near, far=far)
        places.go_far()
        assert places.submit(places.go_far).result() is None
