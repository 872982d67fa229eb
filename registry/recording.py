"""Recording a version's golden examples after its registration, and changing them.

1. What a version does not give is not recorded: examples are checked, in a child process, before they are kept.
2. They are replaced as a whole, in one transaction with their event, and only if nobody else has changed them while
   they were checked.
3. Where their rows, run together, contradict the level that made-up rows have proven, the version's requests share no
   runs from then on.
"""

from collections.abc import Callable

from registry.batching import Batching, Level, is_weaker
from registry.errors import GenerationConflict
from registry.events import EventKind
from registry.examples import Examples
from registry.lookup import resolve_present_version, resolve_version
from registry.names import quoted
from registry.ports import Clock, Haste, Inspector, Registry
from registry.records import Inspection, Version
from registry.signature import Signature
from registry.storage import ArtifactFolders

ReadExamples = Callable[[Signature], Examples]
"""Reads what somebody sent, once the signature is known that it has to fit; raises what a predict body may raise."""

EditExamples = Callable[[Signature, Examples], Examples]
"""Returns other examples than those that there are."""


def contradicts(shown: Level, inspection: Inspection) -> bool:
    """Return whether the rows of examples have shown something that the proof of inspection rules out."""
    return inspection.batch is not None and is_weaker(shown, inspection.batch.level)


class Recording:
    """Keeps examples; safe for threads. Every method may block: on the store, the database, or a child process.

    Args:
        registry: where they are kept.
        folders: where the bytes are.
        inspector: what starts the children.
        clock: dates the events.
        passed: told of each version that gives what its new examples say.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        folders: ArtifactFolders,
        inspector: Inspector,
        clock: Clock,
        passed: Callable[[Version], None] = lambda _: None,
    ) -> None:
        self._registry = registry
        self._folders = folders
        self._inspector = inspector
        self._clock = clock
        self._passed = passed

    def find(self, model: str, number: int) -> Examples:
        """Return a version's examples.

        Raises:
            ModelNotFound, VersionNotFound: there is no such model or version.
        """
        with self._registry.reading() as catalog:
            resolve_version(catalog, model, number)
            return catalog.find_examples(model, number)

    def change(self, model: str, number: int, edit: EditExamples, *, actor: str) -> Version:
        """Replace a version's examples by what ``edit`` makes of them, and return the version.

        Raises:
            ModelNotFound, VersionNotFound, VersionRetired: there is no such model or version, or not any more.
            ExamplesDiffer: the version gives something else.
            InvalidArtifact: the version does not load at all.
            GenerationConflict: somebody else has changed them meanwhile.
            ArtifactMissing, ArtifactCorrupt, StorageUnavailable, InsufficientStorage, Overloaded: it cannot be told.
            What ``edit`` raises.
        """
        with self._registry.reading() as catalog:
            version = resolve_present_version(catalog, model, number)
            before = catalog.find_examples(model, number)
        examples = edit(version.signature, before)
        batching = None
        if examples.items and examples.facts != before.facts:
            names = version.inspection.row_names
            with self._folders.hold(version.artifact) as folder:
                shown = self._inspector.rehearse(
                    folder, version.artifact, examples, row_names=names, haste=Haste.RECORDING
                )
            if contradicts(shown, version.inspection) and version.batching is not Batching.OFF:
                batching = Batching.OFF
        with self._registry.writing() as transaction:
            found = resolve_present_version(transaction, model, number)
            if found.examples != version.examples:
                raise GenerationConflict(f"the examples of version {number} of model {quoted(model)} have just changed")
            if examples.facts == found.examples:
                return found
            transaction.set_examples(model, number, examples)
            transaction.change_version(model, number, description=None, tags=None, batching=batching)
            transaction.add_event(
                EventKind.VERSION_CHANGED,
                model=model,
                version=number,
                actor=actor,
                at=self._clock.now(),
                detail={"examples": len(examples.items), **({} if batching is None else {"batching": batching})},
            )
            changed = resolve_present_version(transaction, model, number)
        if examples.items:
            self._passed(changed)
        return changed
