"""A real PostgreSQL and a real S3 server for one run."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from bench.servers import HOST
from registry.sql import schema
from tests.support.postgres import PostgresServer
from tests.support.s3_server import BUCKET, S3Server, running_s3_server


@dataclass(frozen=True, slots=True, kw_only=True)
class Backends:
    """What a gateway runs on."""

    database: PostgresServer
    store: S3Server

    def settings(self, name: str) -> dict[str, str]:
        """Return the variables for a registry and a store of their own, which are made."""
        url = self.database.create(name)
        schema.upgrade(url)
        return {
            "SARDONYX_DATABASE_URL": url,
            "SARDONYX_STORE": f"s3://{BUCKET}/{name}",
            "SARDONYX_S3_ENDPOINT_URL": self.store.endpoint_url,
            **self.store.environment,
        }


@contextmanager
def backends(database_host: str = HOST, store_host: str = HOST) -> Iterator[Backends]:
    """Start both, each on an address of its own if told so, and end both."""
    with closing(PostgresServer(database_host)) as database, running_s3_server(store_host) as store:
        yield Backends(database=database, store=store)
