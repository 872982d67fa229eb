"""What the registry has just said is not there, so that a flood of wrong names does not reach the database.

Remembered for a second, by model, and forgotten at once when the feed tells of the model. Bounded in both directions:
when a table is full, what was learned first goes first.
"""

from collections import OrderedDict
from collections.abc import Callable
from copy import copy

from registry.errors import ModelNotFound, ServiceError
from registry.names import Reference

_WHOLE_MODEL = ""


class Absences:
    """Negative answers by reference; times are seconds of ``clock``, which must be monotonic."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        keep_seconds: float = 1.0,
        max_models: int = 10_000,
        max_per_model: int = 64,
    ) -> None:
        self._clock = clock
        self._keep_seconds = keep_seconds
        self._max_models = max_models
        self._max_per_model = max_per_model
        self._models: OrderedDict[str, OrderedDict[int | str, tuple[float, ServiceError]]] = OrderedDict()

    def remember(self, reference: Reference, error: ServiceError) -> None:
        """Note the error that a reference led to; ModelNotFound stands for every reference to the model."""
        absences = self._models.setdefault(reference.model, OrderedDict())
        what = _WHOLE_MODEL if isinstance(error, ModelNotFound) else reference.version or reference.alias
        absences[what] = (self._clock() + self._keep_seconds, error)
        if len(absences) > self._max_per_model:
            absences.popitem(last=False)
        if len(self._models) > self._max_models:
            self._models.popitem(last=False)

    def find(self, reference: Reference) -> ServiceError | None:
        """Return an error of the caller's own if the reference is known to lead nowhere, else None."""
        absences = self._models.get(reference.model)
        if absences is None:
            return None
        absence = absences.get(_WHOLE_MODEL) or absences.get(reference.version or reference.alias)
        if absence is None or self._clock() >= absence[0]:
            return None
        return copy(absence[1])

    def forget(self, model: str) -> None:
        """Drop everything about a model."""
        self._models.pop(model, None)
