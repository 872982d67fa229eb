"""The index of the model repository: which versions there are, and whether they answer.

A version that is not loaded is READY all the same: its first request loads it. Only what somebody has unloaded, and
nobody has used since, is not.
"""

from collections.abc import Collection, Iterable
from typing import Any

from registry.names import PRODUCTION
from registry.records import Model

READY = "READY"
UNAVAILABLE = "UNAVAILABLE"

UNLOADED = "unloaded"
_NOT_PROMOTED = "nothing is promoted: name the version"


def repository_index(
    models: Iterable[Model], *, unloaded: Collection[str], only_ready: bool = False
) -> list[dict[str, Any]]:
    """Return the versions that aliases point to, and each model's newest one, in the order of the models.

    Args:
        models: to be listed.
        unloaded: the names of those that have been unloaded and not used since.
        only_ready: leave out those that are not ready.
    """
    return [
        entry
        for model in models
        for entry in _entries(model, is_unloaded=model.name in unloaded)
        if entry["state"] == READY or not only_ready
    ]


def _entries(model: Model, *, is_unloaded: bool) -> list[dict[str, Any]]:
    numbers = {number for alias in model.aliases for number in alias.targets}
    if model.latest_version is not None:
        numbers.add(model.latest_version)
    if not numbers:
        return [{"name": model.name, "version": "", "state": UNAVAILABLE, "reason": "it has no version"}]
    is_promoted = any(alias.name == PRODUCTION for alias in model.aliases)
    state = UNAVAILABLE if is_unloaded else READY
    reason = UNLOADED if is_unloaded else "" if is_promoted else _NOT_PROMOTED
    return [
        {"name": model.name, "version": str(number), "state": state, "reason": reason} for number in sorted(numbers)
    ]
