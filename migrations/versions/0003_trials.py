"""What a version is tried with before and beside its life: golden examples, a canary's limits, a shadow, failed switches.

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-27
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: None = None
depends_on: None = None

LIMITS = ("canary_max_error_rate", "canary_max_latency_seconds")
WORKER_COLUMNS: dict[str, sa.types.TypeEngine[Any]] = {"failed": sa.JSON(), "read": sa.BigInteger(), "pending": sa.JSON()}
SHADOW_KEY = "fk_aliases_model_id_shadow_version"


def upgrade() -> None:
    """Add tables for examples and for what shadows have shown, and columns to what there is."""
    op.create_table(
        "version_examples",
        sa.Column("model_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id", "number"],
            ["versions.model_id", "versions.number"],
            name="fk_version_examples_model_id_number",
        ),
        sa.PrimaryKeyConstraint("model_id", "number", name="pk_version_examples"),
    )
    op.create_table(
        "shadow_reports",
        sa.Column("model_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("alias", _alias_type(), nullable=False),
        sa.Column("trial", sa.Integer(), nullable=False),
        sa.Column("live_version", sa.Integer(), nullable=False),
        sa.Column("shadow_version", sa.Integer(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_shadow_reports_model_id"),
        sa.PrimaryKeyConstraint("model_id", "alias", name="pk_shadow_reports"),
    )
    with op.batch_alter_table("aliases") as batch:
        for name in (*LIMITS, "shadow_percent"):
            batch.add_column(sa.Column(name, sa.Float(53), nullable=True))
        for name in ("shadow_version", "shadow_trial"):
            batch.add_column(sa.Column(name, sa.Integer(), nullable=True))
        batch.create_foreign_key(SHADOW_KEY, "versions", ["model_id", "shadow_version"], ["model_id", "number"])
    for name, type_ in WORKER_COLUMNS.items():
        op.add_column("workers", sa.Column(name, type_, nullable=True))


def downgrade() -> None:
    """Forget all of that; aliases point where they did, and nobody shadows them."""
    for name in WORKER_COLUMNS:
        op.drop_column("workers", name)
    with op.batch_alter_table("aliases") as batch:
        batch.drop_constraint(SHADOW_KEY, type_="foreignkey")
        for name in (*LIMITS, "shadow_percent", "shadow_version", "shadow_trial"):
            batch.drop_column(name)
    op.drop_table("shadow_reports")
    op.drop_table("version_examples")


def _alias_type() -> sa.String:
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    return sa.String(length=63, collation="C") if is_postgresql else sa.String(length=63)
