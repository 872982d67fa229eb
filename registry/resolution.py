"""From what a caller writes to the one version that is meant, now or at a moment in the past.

Rules:
    1. A number means that version, whatever is promoted.
    2. An alias means the version that it points to. That a canary gets a share of its requests is the business of
       whoever answers them.
"""

from datetime import datetime

from registry.errors import AliasNotFound, NoActiveVersion
from registry.history import last_move_at
from registry.lookup import resolve_model, resolve_present_version
from registry.names import PRODUCTION, Reference, quoted
from registry.ports import Catalog
from registry.records import Move, Version


def resolve(catalog: Catalog, reference: Reference) -> Version:
    """Return the version that ``reference`` means; a canary beside an alias is not asked for.

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
        number = alias.version
    return resolve_present_version(catalog, reference.model, number)


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
