"""Which place on the proxy's ring a worker's gateway has, and whether it has left it.

Revision ID: 0006
Revises: 0005
Create Date: 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    """Add the columns; a worker that says nothing of it has no place."""
    op.add_column("workers", sa.Column("ring_id", sa.Integer(), nullable=True))
    op.add_column("workers", sa.Column("has_left", sa.Boolean(), nullable=True))


def downgrade() -> None:
    """Forget both, and with them the workers that have left: an older gateway would wait for them."""
    op.execute("DELETE FROM workers WHERE has_left")
    op.drop_column("workers", "has_left")
    op.drop_column("workers", "ring_id")
