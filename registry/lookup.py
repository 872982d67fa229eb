"""Finding what must be there."""

from registry.errors import ModelNotFound, VersionNotFound, VersionRetired
from registry.names import quoted
from registry.ports import Catalog, Registry
from registry.records import Model, Version
from registry.roles import Caller

_PAGE = 1_000


def visible_models(registry: Registry, caller: Caller) -> list[Model]:
    """Return every model that somebody may use, by name."""
    models: list[Model] = []
    after: str | None = None
    with registry.reading() as catalog:
        while True:
            page = catalog.list_models(limit=_PAGE, after=after)
            models += [model for model in page.items if caller.sees(model.name)]
            after = page.next
            if after is None:
                return models


def resolve_model(catalog: Catalog, name: str) -> Model:
    """Return the model.

    Raises:
        ModelNotFound: there is none of this name.
    """
    model = catalog.find_model(name)
    if model is None:
        raise ModelNotFound(f"there is no model {quoted(name)}")
    return model


def resolve_version(catalog: Catalog, model: str, number: int) -> Version:
    """Return the version, retired or not.

    Raises:
        ModelNotFound, VersionNotFound: there is no such model, or it has never had this number.
    """
    version = catalog.find_version(model, number)
    if version is None:
        resolve_model(catalog, model)
        raise VersionNotFound(f"model {quoted(model)} has no version {number}")
    return version


def resolve_present_version(catalog: Catalog, model: str, number: int) -> Version:
    """Return the version, which is not retired.

    Raises:
        ModelNotFound, VersionNotFound: there is no such model, or it has never had this number.
        VersionRetired: it had.
    """
    version = resolve_version(catalog, model, number)
    if version.is_retired:
        raise VersionRetired(f"version {number} of model {quoted(model)} is retired")
    return version
