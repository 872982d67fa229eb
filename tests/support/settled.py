"""Models whose sessions a gateway will not load anew by itself."""

from contextlib import closing

from gateway.serving.preparing import is_worth_preparing
from registry.lookup import resolve_version
from registry.records import Version
from tests.support.gateway_process import GatewayProcess, wait_until
from tests.support.tokens import open_registry


def wait_until_settled(gateway: GatewayProcess, *names: str) -> None:
    """Return once version 1 of each of these models, registered in this gateway, is prepared if that is worth while.

    Which it is where loads are slow. A session that was loaded before would be loaded anew some time later: somebody
    would wait for a load once more, and runs be made in another way meanwhile.
    """
    with closing(open_registry(gateway.data_dir)) as registry, registry.reading() as catalog:
        versions = [resolve_version(catalog, name, 1) for name in names]
    for version in filter(is_worth_preparing, versions):
        wait_until(lambda version=version: _is_settled(gateway, version))  # type: ignore[misc]


def _is_settled(gateway: GatewayProcess, version: Version) -> bool:
    """Return whether it has been prepared, or been found to be nothing that could be."""
    return any((gateway.data_dir / "cache").glob(f"{version.artifact.digest.hex}.*/about.json"))
