"""The settings that put PostgreSQL under a gateway of the tests: a database of its own for each data folder."""

from functools import cache
from pathlib import Path

from tests.support.postgres import make_postgres_database


def production_environment(data_dir: Path) -> dict[str, str]:
    """Return the variables for the gateway of this data folder; the same ones each time."""
    return {"SARDONYX_DATABASE_URL": _database_of(data_dir)}


@cache
def _database_of(_data_dir: Path) -> str:
    return make_postgres_database()
