"""How a worker loads a version: once this runtime has inspected it; prepared, if it is, else plainly."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import ExitStack, suppress
from functools import partial

from gateway.ledger import Marks
from gateway.parts import Parts
from gateway.serving.cache_entry import key_of
from gateway.serving.isolated import AnySession
from gateway.serving.load_places import LoadPlaces
from gateway.serving.preparing import Preparing
from gateway.serving.proving import Proving
from gateway.serving.runtime import NO_MARKS, Session
from gateway.serving.spare_threads import Loan, SpareThreads
from gateway.serving.store_watch import StoreWatch
from registry.errors import LoadFailed, StorageUnavailable
from registry.inspection.host import can_start_threads
from registry.ports import Haste
from registry.records import Version

LOADS_AT_ONCE = 2
"""Many may wait for the store; few load, since that takes processors and memory. (See ``LoadPlaces``, too.)"""

_PREPARED_TRIES = 2
"""So often a prepared form may fail to load in this worker; then the model is loaded plainly for good."""

_MARGIN_THREADS = 4
"""So many more must be to be had when a session with several threads is made."""

_AWAY = "reading from the artifact store failed: the artifact store does not answer"


class Loader:
    """Makes the sessions of one worker; safe for threads.

    Args:
        parts: where artifacts and prepared models lie.
        store_watch: knows whether the store answers.
        preparing: what is loaded plainly is prepared.
        proving: what another host has inspected is tried here.
        places: where loads run.
        spare: threads for runs that are shorter with several.
        load_elsewhere: returns the session of a version that is not to be loaded into this process; else None.
        marks: where it is marked what is inside the runtime.
        widening: where sessions get them, while their first answers are made; one thread, so that few load at once.
    """

    def __init__(
        self,
        parts: Parts,
        store_watch: StoreWatch,
        *,
        preparing: Preparing,
        proving: Proving,
        places: LoadPlaces,
        spare: SpareThreads,
        load_elsewhere: Callable[[Version], AnySession | None] = lambda _: None,
        marks: Marks = NO_MARKS,
        widening: Executor,
    ) -> None:
        self._parts = parts
        self._store_watch = store_watch
        self._preparing = preparing
        self._proving = proving
        self._places = places
        self._spare = spare
        self._load_elsewhere = load_elsewhere
        self._marks = marks
        self._widening = widening
        self._turns = threading.BoundedSemaphore(LOADS_AT_ONCE)
        self._is_far = parts.settings.s3_place is not None
        self._failures: Counter[str] = Counter()

    def load(self, version: Version) -> AnySession:
        """Return a session of a version; the folder is verified first, and stays meanwhile. Blocks.

        Raises:
            LoadFailed, ArtifactMissing, ArtifactCorrupt, StorageUnavailable, InsufficientStorage.
            ModelQuarantined: it is not to be loaded.
            Overloaded, InternalError: it has to be inspected first, and cannot be now.
        """
        if self._parts.runtime_checks.is_due(version):
            self._places.go_far()
            found = self._parts.runtime_checks.check(version)
            if found is not None:
                self._proving.note(version, found)
        if self._parts.example_checks.is_due(version):
            self._places.go_far()
            self._parts.example_checks.check(version, partial(self._parts.rehearsal, haste=Haste.LOADING))
        elsewhere = self._load_elsewhere(version)
        if elsewhere is not None:
            return elsewhere
        is_hopeless = self._failures[version.artifact.digest.hex] >= _PREPARED_TRIES
        session = None if is_hopeless else self._load_prepared(version)
        if session is None:
            session = self._load_plainly(version)
            if not is_hopeless:
                self._preparing.want(version)
        self._proving.want(version)
        return session

    def _load_prepared(self, version: Version) -> Session | None:
        with self._parts.prepared.hold(version.artifact) as prepared:
            if prepared is None:
                return None
            with suppress(LoadFailed), ExitStack() as held:
                loan = self._spare.borrow(version, prepared.memory_bytes)
                held.callback(loan.give_back)
                is_wide = _can_have(loan)
                with self._turns:
                    session = Session.load(
                        prepared.path,
                        prepared_bytes=prepared.memory_bytes * (1 + is_wide),
                        marks=self._marks,
                        mark=self._marks.number(key_of(version)),
                    )
                if is_wide:
                    session.when_closed(held.pop_all().close)
                    with suppress(RuntimeError):  # the worker is ending
                        self._widening.submit(self._widen, version, session, loan)
                return session
        self._failures[version.artifact.digest.hex] += 1
        self._parts.prepared.forget(version.artifact)
        return None

    def _widen(self, version: Version, session: Session, loan: Loan) -> None:
        try:
            with self._parts.prepared.hold(version.artifact) as prepared:
                if prepared is not None and _can_have(loan):
                    session.widen(prepared.path, loan.rule)
        finally:
            if session.threads == 1:
                loan.give_back()

    def _load_plainly(self, version: Version) -> Session:
        self._places.step_aside(version.artifact)
        if self._is_far and self._store_watch.error is not None and not self._parts.folders.has(version.artifact):
            raise StorageUnavailable(_AWAY, retry_after_seconds=5)  # else a silent store would hold a thread for long
        with self._parts.folders.hold(version.artifact) as folder, self._turns:
            mark = self._marks.number(key_of(version))
            return Session.load(folder / version.artifact.graph.name, marks=self._marks, mark=mark)


def _can_have(loan: Loan) -> bool:
    """Tell whether it is of threads, and they are to be had: the runtime hangs where it gets some of a pool's only."""
    return loan.extra_threads > 0 and can_start_threads(loan.extra_threads + _MARGIN_THREADS)
