"""Access tokens, and events that are about no model.

Revision ID: 0002
Revises: 0001
Create Date: 2026-11-25
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: None = None
depends_on: None = None

MOMENT = sa.DateTime(timezone=True)

EVENT_COLUMNS = "sequence, kind, model_id, version, alias, actor, at, detail"
TOKEN_COLUMNS = "id, name, role, models, secret_sha256, created_at, created_by, expires_at"


def upgrade() -> None:
    """Make the table of tokens, and let events be without a model."""
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("models", sa.String(length=128), nullable=True),
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.Column("revoked_by", sa.Text(), nullable=True),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
    )
    if _is_postgresql():
        op.alter_column("events", "model_id", existing_type=sa.Integer(), nullable=True)
        _guard_postgresql("tokens", TOKEN_COLUMNS)
    else:
        _remake_events(has_model=False)
        _guard_sqlite("tokens", "id", TOKEN_COLUMNS)
    _keep_revoked()


def downgrade() -> None:
    """Drop the tokens, and the events that are about them: what comes before cannot hold either."""
    op.drop_table("tokens")
    if _is_postgresql():
        op.execute("DROP TRIGGER events_stay ON events")
        op.execute("DELETE FROM events WHERE model_id IS NULL")
        op.alter_column("events", "model_id", existing_type=sa.Integer(), nullable=False)
        op.execute(
            "CREATE TRIGGER events_stay BEFORE DELETE ON events FOR EACH ROW "
            "EXECUTE FUNCTION refuse('events: rows cannot be deleted')"
        )
    else:
        op.execute("DROP TRIGGER events_stay")
        op.execute("DELETE FROM events WHERE model_id IS NULL")
        _remake_events(has_model=True)


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _remake_events(*, has_model: bool) -> None:
    """Change a column in the one way that SQLite has: make the table anew, and all that hangs on it.

    A number that was given once is not given again, even where the event that had it is gone.
    """
    last = op.get_bind().scalar(sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'events'"))
    with op.batch_alter_table("events", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.alter_column("model_id", existing_type=sa.Integer(), nullable=not has_model)
    if last is not None:
        op.execute("DELETE FROM sqlite_sequence WHERE name = 'events'")
        op.execute(f"INSERT INTO sqlite_sequence (name, seq) VALUES ('events', {int(last)})")
    _guard_sqlite("events", "sequence", EVENT_COLUMNS)


def _guard_sqlite(table: str, key: str, fixed: str) -> None:
    def refuse(name: str, when: str, message: str) -> None:
        op.execute(f"CREATE TRIGGER {name} {when} BEGIN SELECT RAISE(ABORT, '{message}'); END")

    refuse(f"{table}_keep", f"BEFORE UPDATE OF {fixed} ON {table}", f"{table}: {fixed} cannot be changed")
    refuse(f"{table}_stay", f"BEFORE DELETE ON {table}", f"{table}: rows cannot be deleted")
    # REPLACE deletes without asking the triggers that guard deletion.
    same = f"EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key})"
    refuse(f"{table}_once", f"BEFORE INSERT ON {table} WHEN {same}", f"{table}: rows cannot be replaced")


def _guard_postgresql(table: str, fixed: str) -> None:
    def refuse(name: str, when: str, message: str) -> None:
        op.execute(f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION refuse('{message}')")

    row = f"ON {table} FOR EACH ROW"
    refuse(f"{table}_keep", f"BEFORE UPDATE OF {fixed} {row}", f"{table}: {fixed} cannot be changed")
    refuse(f"{table}_stay", f"BEFORE DELETE {row}", f"{table}: rows cannot be deleted")
    refuse(f"{table}_full", f"BEFORE TRUNCATE ON {table} FOR EACH STATEMENT", f"{table}: rows cannot be deleted")


def _keep_revoked() -> None:
    begins = "CREATE TRIGGER tokens_rest BEFORE UPDATE OF revoked_at, revoked_by ON tokens"
    message = "tokens: a revoked token stays revoked"
    if _is_postgresql():
        op.execute(
            f"{begins} FOR EACH ROW WHEN (OLD.revoked_at IS NOT NULL) EXECUTE FUNCTION refuse('{message}')"
        )
    else:
        op.execute(f"{begins} WHEN OLD.revoked_at IS NOT NULL BEGIN SELECT RAISE(ABORT, '{message}'); END")
