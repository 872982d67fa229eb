"""An older and a newer release on one database: what goes on, and what says that it cannot begin."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from registry.sql import schema
from tests.support import models
from tests.support.behind_proxy import ROW
from tests.support.gateway_process import (
    SARDONYX,
    clean_environment,
    running_gateway,
    started_gateway,
    wait_for_status,
    wait_until,
)
from tests.support.postgres import make_postgres_database
from tests.support.running import run
from tests.support.uploads import upload_and_promote

NATIVE = {"inputs": ROW}
NEXT = "9999"
REVISION = f'''
"""Something that the release before knows nothing of."""

import sqlalchemy as sa
from alembic import op

revision: str = "{NEXT}"
down_revision: str | None = "{schema.head_revision()}"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.add_column("models", sa.Column("next", sa.Text(), nullable=True))
    op.create_table("next", sa.Column("id", sa.Integer(), primary_key=True))


def downgrade() -> None:
    op.drop_table("next")
    op.drop_column("models", "next")
'''


@pytest.fixture
def next_release(tmp_path: Path) -> Path:
    """A folder with the migrations of the release after this one."""
    folder = tmp_path / "next-release"
    shutil.copytree(Path(__file__).parents[2] / "migrations", folder / "migrations")
    (folder / "migrations" / "versions" / "9999_next_release.py").write_text(REVISION)
    return folder


@contextmanager
def of_release(folder: Path) -> Iterator[None]:
    """Have processes that are started meanwhile be of another release."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables(folder).items():
            patch.setenv(name, value)
        yield


def variables(folder: Path) -> dict[str, str]:
    """Return what makes a process find a release's migrations, and not those where the tests are run."""
    return {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}


def version_of(client: httpx.Client, name: str) -> int:
    answer = client.post(f"/models/{name}/predict", json=NATIVE)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["version"])


@pytest.mark.parametrize("role", ["gateway", "all"])
def test_a_process_of_the_release_before_goes_on_while_the_database_is_upgraded(
    tmp_path: Path, next_release: Path, role: str
) -> None:
    places = {"database_url": make_postgres_database(), "store": str(tmp_path / "store")}
    with (
        running_gateway(tmp_path / "registry", **places) as registry,
        running_gateway(tmp_path / "gateway", role=role, **places) as gateway,
        registry.client() as owner,
        gateway.client() as client,
    ):
        upload_and_promote(owner, "known", models.linear(seed=1))
        upload_and_promote(owner, "unknown", models.linear(seed=2))
        assert version_of(client, "known") == 1
        environment = {**gateway.environment, **variables(next_release)}
        upgraded = run(SARDONYX, "db", "upgrade", "--json", environment=environment)
        assert json.loads(upgraded.stdout)["current"] == NEXT, upgraded.stderr
        upload_and_promote(owner, "later", models.linear(seed=3))

        assert [version_of(client, name) for name in ("known", "unknown", "later")] == [1, 1, 1]
        assert client.get("/health/ready").json()["registry"] == "ok"


def test_a_process_of_the_next_release_says_that_the_database_is_too_old(tmp_path: Path, next_release: Path) -> None:
    places = {"database_url": make_postgres_database(), "store": str(tmp_path / "store")}
    with of_release(next_release), started_gateway(tmp_path / "gateway", role="gateway", **places) as gateway:
        wait_for_status(gateway, "/health/live", 200)
        with gateway.client() as client:
            wait_until(lambda: client.get("/health/ready").json().get("code") == "schema_mismatch")
            problem = client.get("/health/ready").json()

    revisions = f"the database has the older revision {schema.head_revision()}, this code needs {NEXT}"
    assert (problem["status"], problem["detail"]) == (503, f"{revisions}: run 'sardonyx db upgrade'")


def test_a_process_of_the_release_before_cannot_begin_on_the_newer_database(tmp_path: Path, next_release: Path) -> None:
    places = {"database_url": make_postgres_database(), "store": str(tmp_path / "store")}
    environment = {**clean_environment(), "SARDONYX_DATABASE_URL": places["database_url"], **variables(next_release)}
    assert run(SARDONYX, "db", "upgrade", environment=environment).returncode == 0
    with started_gateway(tmp_path / "gateway", role="gateway", **places) as gateway, gateway.client() as client:
        wait_for_status(gateway, "/health/live", 200)
        wait_until(lambda: client.get("/health/ready").json().get("code") == "schema_mismatch")
        problem = client.get("/health/ready").json()

    revisions = f"the database has the newer revision {NEXT}, this code needs {schema.head_revision()}"
    assert (problem["status"], problem["detail"]) == (503, f"{revisions}: install a newer Sardonyx")
