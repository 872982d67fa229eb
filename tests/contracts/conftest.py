from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.postgres import PostgresServer


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server of this test's own, which may be stopped."""
    with closing(PostgresServer()) as running:
        yield running
