"""Where a version runs, and what it has done to the processes that ran it.

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-28
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    """Add the table; a version without a row in it runs in process and has done nothing."""
    op.create_table(
        "standings",
        sa.Column("model_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("isolation", sa.String(length=16), nullable=False),
        sa.Column("deaths", sa.Integer(), nullable=False),
        sa.Column("is_requested", sa.Boolean(), nullable=False),
        sa.Column("is_on_probation", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id", "number"],
            ["versions.model_id", "versions.number"],
            name="fk_standings_model_id_number",
        ),
        sa.PrimaryKeyConstraint("model_id", "number", name="pk_standings"),
    )


def downgrade() -> None:
    """Forget it: every version runs in process again."""
    op.drop_table("standings")
