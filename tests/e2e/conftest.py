from collections.abc import Iterator

import pytest

from tests.support.gateway_process import GatewayProcess, running_gateway


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """One gateway for the tests of a file; each test uses model names of its own."""
    with running_gateway(tmp_path_factory.mktemp("gateway") / "data") as running:
        yield running
