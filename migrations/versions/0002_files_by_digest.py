"""An index from a file's digest to the artifacts that have it.

Revision ID: 0002
Revises: 0001
Create Date: 2026-11-25
"""

from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_artifact_files_file_digest", "artifact_files", ["file_digest"], unique=False)


def downgrade() -> None:
    """Drop the index."""
    op.drop_index("ix_artifact_files_file_digest", table_name="artifact_files")
