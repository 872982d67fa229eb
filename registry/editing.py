"""Changing what people wrote about a model or a version; everything else about them stays as it was registered."""

from collections.abc import Mapping
from typing import Any

from registry.annotations import check_annotations
from registry.batching import Batching
from registry.events import EventKind
from registry.lookup import resolve_model, resolve_present_version
from registry.ports import Clock, Registry
from registry.records import Model, Version
from registry.standing import Isolation, requested


class Editing:
    """Edits models and versions; safe for threads. What is given and differs is changed, each time with one event."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    def change_model(
        self, model: str, *, actor: str, description: str | None = None, tags: Mapping[str, str] | None = None
    ) -> Model:
        """Replace what is not None and return the model.

        Raises:
            ModelNotFound: there is no such model.
            InvalidRequest: the description or a tag is malformed.
        """
        check_annotations(description=description, tags=tags)
        with self._registry.writing() as transaction:
            before = resolve_model(transaction, model)
            changes = _changes(before, description=description, tags=tags)
            if not changes:
                return before
            transaction.change_model(model, description=description, tags=tags)
            at = self._clock.now()
            transaction.add_event(EventKind.MODEL_CHANGED, model=model, actor=actor, at=at, detail=changes)
            return resolve_model(transaction, model)

    def change_version(
        self,
        model: str,
        number: int,
        *,
        actor: str,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        batching: Batching | None = None,
        isolation: Isolation | None = None,
    ) -> Version:
        """Replace what is not None and return the version.

        What is asked for with ``isolation`` is remembered, and takes effect unless what the version has done keeps it
        elsewhere; ``registry.crashes`` can take that back.

        Raises:
            ModelNotFound, VersionNotFound, VersionRetired: there is no such model or version, or not any more.
            InvalidRequest: the description or a tag is malformed.
        """
        check_annotations(description=description, tags=tags)
        with self._registry.writing() as transaction:
            before = resolve_present_version(transaction, model, number)
            changes = _changes(before, description=description, tags=tags, batching=batching)
            standing = before.standing if isolation is None else requested(before.standing, isolation)
            if standing != before.standing:
                changes["isolation"] = isolation
                transaction.set_standing(model, number, standing)
            if not changes:
                return before
            transaction.change_version(model, number, description=description, tags=tags, batching=batching)
            transaction.add_event(
                EventKind.VERSION_CHANGED,
                model=model,
                version=number,
                actor=actor,
                at=self._clock.now(),
                detail=changes,
            )
            return resolve_present_version(transaction, model, number)


def _changes(before: Model | Version, **given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None and value != getattr(before, name)}
