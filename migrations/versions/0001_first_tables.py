"""Models, versions, artifacts, aliases, moves, events and workers.

Revision ID: 0001
Revises:
Create Date: 2026-11-22
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: None = None
depends_on: None = None

NAME = sa.String(length=128).with_variant(sa.String(length=128, collation="C"), "postgresql")
ALIAS = sa.String(length=63).with_variant(sa.String(length=63, collation="C"), "postgresql")
COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)

# What is written once: the columns that can never change, and the message that whoever tries gets.
IMMUTABLE = {
    "artifacts": ("digest", "runtime", "created_at"),
    "artifact_files": ("artifact_digest", "position", "name", "file_digest", "size_bytes"),
    "inspections": ("artifact_digest", "runtime", "inspection", "created_at"),
    "versions": ("model_id", "number", "artifact_digest", "created_at", "created_by"),
    "moves": (
        "id",
        "model_id",
        "alias",
        "from_version",
        "to_version",
        "kind",
        "undoes",
        "actor",
        "reason",
        "at",
    ),
    "events": ("sequence", "kind", "model_id", "version", "alias", "actor", "at", "detail"),
}
KEYS = {
    "artifacts": ("digest",),
    "artifact_files": ("artifact_digest", "position"),
    "inspections": ("artifact_digest", "runtime"),
    "versions": ("model_id", "number"),
    "moves": ("id",),
    "events": ("sequence",),
}


def upgrade() -> None:
    """Make every table, and the triggers that keep what is written once."""
    op.create_table(
        "artifacts",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("runtime", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_artifacts"),
    )
    op.create_table(
        "models",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("next_number", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_models"),
        sa.UniqueConstraint("name", name="uq_models_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "workers",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("pid", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("applied", sa.BigInteger(), nullable=False),
        sa.Column("resident", sa.JSON(), nullable=False),
        sa.Column("reported_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("host", "pid", name="pk_workers"),
    )
    op.create_table(
        "artifact_files",
        sa.Column("artifact_digest", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("file_digest", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["artifact_digest"], ["artifacts.digest"], name="fk_artifact_files_artifact_digest"),
        sa.PrimaryKeyConstraint("artifact_digest", "position", name="pk_artifact_files"),
        sa.UniqueConstraint("artifact_digest", "name", name="uq_artifact_files_artifact_digest_name"),
    )
    op.create_table(
        "events",
        sa.Column("sequence", COUNTER, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("alias", ALIAS, nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_events_model_id"),
        sa.PrimaryKeyConstraint("sequence", name="pk_events"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "inspections",
        sa.Column("artifact_digest", sa.String(length=64), nullable=False),
        sa.Column("runtime", sa.Text(), nullable=False),
        sa.Column("inspection", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["artifact_digest"], ["artifacts.digest"], name="fk_inspections_artifact_digest"),
        sa.PrimaryKeyConstraint("artifact_digest", "runtime", name="pk_inspections"),
    )
    op.create_table(
        "versions",
        sa.Column("model_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("artifact_digest", sa.String(length=64), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("batching", sa.String(length=16), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("retired_at", MOMENT, nullable=True),
        sa.Column("retired_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["artifact_digest"], ["artifacts.digest"], name="fk_versions_artifact_digest"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_versions_model_id"),
        sa.PrimaryKeyConstraint("model_id", "number", name="pk_versions"),
    )
    op.create_index("ix_versions_artifact_digest", "versions", ["artifact_digest"], unique=False)
    op.create_index(
        "uq_versions_model_id_artifact_digest",
        "versions",
        ["model_id", "artifact_digest"],
        unique=True,
        sqlite_where=sa.text("retired_at IS NULL"),
        postgresql_where=sa.text("retired_at IS NULL"),
    )
    op.create_table(
        "aliases",
        sa.Column("model_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", ALIAS, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("canary_version", sa.Integer(), nullable=True),
        sa.Column("canary_percent", sa.Float(precision=53), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id", "canary_version"],
            ["versions.model_id", "versions.number"],
            name="fk_aliases_model_id_canary_version",
        ),
        sa.ForeignKeyConstraint(
            ["model_id", "version"], ["versions.model_id", "versions.number"], name="fk_aliases_model_id_version"
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_aliases_model_id"),
        sa.PrimaryKeyConstraint("model_id", "name", name="pk_aliases"),
    )
    op.create_table(
        "moves",
        sa.Column("id", COUNTER, nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("alias", ALIAS, nullable=False),
        sa.Column("from_version", sa.Integer(), nullable=True),
        sa.Column("to_version", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("undoes", COUNTER, nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id", "from_version"],
            ["versions.model_id", "versions.number"],
            name="fk_moves_model_id_from_version",
        ),
        sa.ForeignKeyConstraint(
            ["model_id", "to_version"], ["versions.model_id", "versions.number"], name="fk_moves_model_id_to_version"
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_moves_model_id"),
        sa.ForeignKeyConstraint(["undoes"], ["moves.id"], name="fk_moves_undoes"),
        sa.PrimaryKeyConstraint("id", name="pk_moves"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_moves_model_id_alias_id", "moves", ["model_id", "alias", "id"], unique=False)
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()


def downgrade() -> None:
    """Drop everything."""
    for table in (
        "workers",
        "events",
        "moves",
        "aliases",
        "versions",
        "inspections",
        "artifact_files",
        "artifacts",
        "models",
    ):
        op.drop_table(table)  # and its indexes and triggers with it
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse()")


def _guard_sqlite() -> None:
    def refuse(name: str, when: str, message: str) -> None:
        op.execute(f"CREATE TRIGGER {name} {when} BEGIN SELECT RAISE(ABORT, '{message}'); END")

    for table, columns in IMMUTABLE.items():
        fixed = ", ".join(columns)
        refuse(f"{table}_keep", f"BEFORE UPDATE OF {fixed} ON {table}", f"{table}: {fixed} cannot be changed")
        refuse(f"{table}_stay", f"BEFORE DELETE ON {table}", f"{table}: rows cannot be deleted")
        # REPLACE deletes without asking the triggers that guard deletion.
        same = " AND ".join(f"{key} = NEW.{key}" for key in KEYS[table])
        refuse(
            f"{table}_once",
            f"BEFORE INSERT ON {table} WHEN EXISTS (SELECT 1 FROM {table} WHERE {same})",
            f"{table}: rows cannot be replaced",
        )
    refuse(
        "versions_rest",
        "BEFORE UPDATE OF retired_at, retired_by ON versions WHEN OLD.retired_at IS NOT NULL",
        "versions: a retired version stays retired",
    )


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], ERRCODE = 'integrity_constraint_violation'; END $$"
    )

    def refuse(name: str, when: str, message: str) -> None:
        op.execute(f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION refuse('{message}')")

    for table, columns in IMMUTABLE.items():
        fixed = ", ".join(columns)
        refuse(
            f"{table}_keep", f"BEFORE UPDATE OF {fixed} ON {table} FOR EACH ROW", f"{table}: {fixed} cannot be changed"
        )
        refuse(f"{table}_stay", f"BEFORE DELETE ON {table} FOR EACH ROW", f"{table}: rows cannot be deleted")
        refuse(f"{table}_full", f"BEFORE TRUNCATE ON {table} FOR EACH STATEMENT", f"{table}: rows cannot be deleted")
    refuse(
        "versions_rest",
        "BEFORE UPDATE OF retired_at, retired_by ON versions FOR EACH ROW WHEN (OLD.retired_at IS NOT NULL)",
        "versions: a retired version stays retired",
    )
