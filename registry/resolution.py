"""From what a caller writes to the one version that is meant, now or at a moment in the past.

Rules:
    1. A number means that version, whatever is promoted.
    2. An alias means the version that it points to; if it has a canary, a share of the requests gets that one.
    3. The share is the caller's to draw (a routing key makes it sticky): nothing here is random.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime

from registry.errors import AliasNotFound, NoActiveVersion
from registry.history import last_move_at
from registry.lookup import resolve_model, resolve_present_version
from registry.names import PRODUCTION, Reference, quoted
from registry.ports import Catalog
from registry.records import Alias, Move, Version


def resolve(catalog: Catalog, reference: Reference, *, choose_canary: Callable[[float], bool]) -> Version:
    """Return the version that ``reference`` means.

    Args:
        catalog: an open view of the registry.
        reference: a model with a number or an alias.
        choose_canary: given the canary's percentage, says whether this request is one of its share; called only where
            there is a canary.

    Raises:
        ModelNotFound, VersionNotFound, VersionRetired: there is no such model or version, or not any more.
        NoActiveVersion: nothing has ever been promoted to ``production``.
        AliasNotFound: the same for any other alias.
    """
    number = reference.version
    if number is None:
        alias = catalog.find_alias(reference.model, reference.alias)
        if alias is None:
            raise _never_moved(catalog, reference.model, reference.alias)
        number = route(alias, choose_canary=choose_canary)
    return resolve_present_version(catalog, reference.model, number)


def route(alias: Alias, *, choose_canary: Callable[[float], bool]) -> int:
    """Return the number of the version that one request to ``alias`` gets."""
    if alias.canary is not None and choose_canary(alias.canary.percent):
        return alias.canary.version
    return alias.version


def is_in_share(percent: float, *, key: str) -> bool:
    """Return whether ``key`` is among ``percent`` in a hundred keys; one that is stays so when the share grows."""
    drawn = int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:8], "big")
    return drawn * 100 < percent * 2**64


def alias_at(catalog: Catalog, model: str, alias: str, at: datetime) -> Move:
    """Return the move that made ``alias`` point to what it pointed to at the moment ``at`` (aware).

    Raises:
        ModelNotFound: there is no such model.
        NoActiveVersion: the alias pointed to nothing yet.
        AliasNotFound: it is not ``production`` and has never been moved.
    """
    moves = catalog.list_moves(model, alias)
    if not moves:
        raise _never_moved(catalog, model, alias)
    move = last_move_at(moves, at)
    if move is None:
        raise NoActiveVersion(f"alias {quoted(alias)} of model {quoted(model)} pointed to nothing at {at.isoformat()}")
    return move


def _never_moved(catalog: Catalog, model: str, alias: str) -> AliasNotFound | NoActiveVersion:
    resolve_model(catalog, model)
    if alias == PRODUCTION:
        return NoActiveVersion(f"no version of model {quoted(model)} is promoted yet")
    return AliasNotFound(f"model {quoted(model)} has no alias {quoted(alias)}")
