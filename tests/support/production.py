"""The settings that put PostgreSQL and S3 under a gateway of the tests: places of its own for each data folder."""

import atexit
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from tests.support.postgres import make_postgres_database
from tests.support.s3_server import BUCKET, S3Server, new_prefix, running_s3_server


def database_environment(data_dir: Path) -> dict[str, str]:
    """Return the variables for the gateway of this data folder; the same ones each time."""
    return {"SARDONYX_DATABASE_URL": _database_of(data_dir)}


def store_environment(data_dir: Path) -> dict[str, str]:
    """Return the variables for the gateway of this data folder; the same ones each time."""
    return {
        "SARDONYX_STORE": f"s3://{BUCKET}/{_prefix_of(data_dir)}",
        "SARDONYX_S3_ENDPOINT_URL": _s3_server().endpoint_url,
        **_s3_server().environment,
    }


@cache
def _database_of(_data_dir: Path) -> str:
    return make_postgres_database()


@cache
def _prefix_of(_data_dir: Path) -> str:
    return new_prefix()


@cache
def _s3_server() -> S3Server:
    opened = ExitStack()
    atexit.register(opened.close)
    return opened.enter_context(running_s3_server())
