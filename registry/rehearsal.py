"""Making sure that a version can be loaded, and gives what its examples say, before anything points to it.

1. Its bytes are to be had and are the right ones: a copy is verified, which the load that follows finds ready.
2. The runtime of today has looked into it: what only another one has inspected is inspected again, in a child process
   (``reinspection``).
3. A child process loads it and runs its golden examples. What has passed on this host a minute ago, for a plan or for
   another alias, is not loaded once more.
"""

import time
from collections.abc import Callable
from threading import Lock
from typing import Final

from registry.errors import ExamplesDiffer, InvalidArtifact, RehearsalFailed
from registry.examples import Examples
from registry.names import quoted
from registry.ports import Clock, Haste, Inspector, Registry
from registry.records import Version
from registry.reinspection import inspect_again
from registry.storage import ArtifactFolders

_GOOD_FOR_SECONDS: Final = 60.0


class Rehearsal:
    """Rehearses loads; safe for threads.

    Args:
        registry: where inspections and examples are.
        folders: where the bytes are.
        inspector: what starts the children.
        clock: dates an inspection.
        passed: told of each version that has passed with its examples.
        monotonic: seconds that only grow.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        folders: ArtifactFolders,
        inspector: Inspector,
        clock: Clock,
        passed: Callable[[Version], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._folders = folders
        self._inspector = inspector
        self._clock = clock
        self._passed = passed
        self._monotonic = monotonic
        self._lock = Lock()
        self._passed_at: dict[tuple[str, str], float] = {}

    def __call__(self, version: Version, haste: Haste = Haste.PROMOTING) -> None:
        """Return if the version loads and gives what its examples say; blocks on store, database and children.

        Raises:
            RehearsalFailed: it does not.
            ArtifactMissing, ArtifactCorrupt: the store has lost or damaged its bytes.
            StorageUnavailable, InsufficientStorage, RegistryUnavailable, RegistryBusy, Overloaded: it cannot be told
                now.
        """
        artifact = version.artifact
        with self._folders.hold(artifact) as folder:
            with self._registry.reading() as catalog:
                known = catalog.find_inspection(artifact.digest, self._inspector.runtime)
                examples = catalog.find_examples(version.model, version.number)
            try:
                found = inspect_again(self._inspector, folder, version, known)
                if not self._has_passed(version, examples):
                    self._inspector.rehearse(folder, artifact, examples, haste=haste)
            except InvalidArtifact as error:
                raise RehearsalFailed(
                    f"version {version.number} of model {quoted(version.model)} does not load with "
                    f"{self._inspector.runtime}: {error.detail} ({error.code})"
                ) from error
            except ExamplesDiffer as error:
                raise RehearsalFailed(
                    f"version {version.number} of model {quoted(version.model)} does not give what its examples say: "
                    f"{error.detail}",
                    violations=error.violations,
                ) from error
        self._note(version, examples)
        if known is None:
            with self._registry.writing() as transaction:
                transaction.add_artifact(artifact, found, at=self._clock.now())

    def _has_passed(self, version: Version, examples: Examples) -> bool:
        with self._lock:
            passed_at = self._passed_at.get(_key(version, examples))
        return passed_at is not None and self._monotonic() < passed_at + _GOOD_FOR_SECONDS

    def _note(self, version: Version, examples: Examples) -> None:
        now = self._monotonic()
        with self._lock:
            recent = {key: at for key, at in self._passed_at.items() if now < at + _GOOD_FOR_SECONDS}
            recent.setdefault(_key(version, examples), now)
            self._passed_at = recent
        self._passed(version)


def _key(version: Version, examples: Examples) -> tuple[str, str]:
    facts = examples.facts
    return version.artifact.digest.hex, "" if facts is None else facts.digest
