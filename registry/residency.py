"""Loading and unloading models by somebody's word: what was asked for goes to every gateway by the change feed."""

from registry.events import EventKind
from registry.lookup import resolve_model
from registry.ports import Clock, Registry


class Residency:
    """Writes down who has loaded or unloaded a model; safe for threads."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    def record_load(self, model: str, number: int, *, actor: str) -> None:
        """Let every gateway know that a version of the model has been loaded.

        Raises:
            ModelNotFound: there is no such model.
        """
        self._record(EventKind.MODEL_LOADED, model, number, actor)

    def record_unload(self, model: str, *, actor: str) -> None:
        """Let every gateway drop what it has loaded of the model, until somebody uses it again.

        Raises:
            ModelNotFound: there is no such model.
        """
        self._record(EventKind.MODEL_UNLOADED, model, None, actor)

    def _record(self, kind: EventKind, model: str, number: int | None, actor: str) -> None:
        with self._registry.writing() as transaction:
            resolve_model(transaction, model)
            at = self._clock.now()
            transaction.add_event(kind, model=model, version=number, actor=actor, at=at, detail={})
