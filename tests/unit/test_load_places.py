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
        places = LoadPlaces([Cached()], near=near, far=far)

        def fetch(_version: Version) -> str:
            answered.wait()
            return where()

        fetching = [places.submit(fetch, FAR) for _ in range(3)]
        assert places.submit(where, AT_HAND).result() == "near"
        assert places.submit(where).result() == "near"
        assert not any(future.done() for future in fetching)
        answered.set()
        assert [future.result() for future in fetching] == ["far"] * 3
