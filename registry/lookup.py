"""Finding what must be there."""

from registry.errors import ModelNotFound, VersionNotFound, VersionRetired
from registry.names import quoted
from registry.ports import Catalog
from registry.records import Model, Version


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
