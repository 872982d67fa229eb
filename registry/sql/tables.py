"""The tables, as the newest revision under ``migrations`` leaves them.

Rules:
    1. What is written once stays: triggers (in the migrations) refuse to change or delete it.
    2. A moment is stored in UTC and comes back aware, whatever the database's own idea of time zones.
    3. Names sort by code point everywhere, so that a cursor means the same in every database.
"""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment in, the same moment in UTC out, to the microsecond."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Shift to UTC; SQLite, which has text only, gets it without the zone."""
        if value is None:
            return None
        shifted = value.astimezone(UTC)
        return shifted.replace(tzinfo=None) if dialect.name == "sqlite" else shifted

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Put the zone back where the database does not keep it."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


NAME = String(128).with_variant(String(128, collation="C"), "postgresql")
ALIAS = String(63).with_variant(String(63, collation="C"), "postgresql")
DIGEST = String(64)
COUNTER = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers rows by itself only in an INTEGER column
MOMENT = UtcDateTime()

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

models = Table(
    "models",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", NAME, nullable=False, unique=True),
    Column("description", Text, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("next_number", Integer, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("created_by", Text, nullable=False),
    sqlite_autoincrement=True,
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("digest", DIGEST, primary_key=True),
    # The runtime whose inspection all versions of these bytes show, whoever measures again later. No foreign key: the
    # inspection's row refers to this one.
    Column("runtime", Text, nullable=False),
    Column("created_at", MOMENT, nullable=False),
)

artifact_files = Table(
    "artifact_files",
    metadata,
    Column("artifact_digest", DIGEST, ForeignKey("artifacts.digest"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", String(128), nullable=False),
    Column("file_digest", DIGEST, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    UniqueConstraint("artifact_digest", "name"),
)

inspections = Table(
    "inspections",
    metadata,
    Column("artifact_digest", DIGEST, ForeignKey("artifacts.digest"), primary_key=True),
    Column("runtime", Text, primary_key=True),
    Column("inspection", JSON, nullable=False),
    Column("created_at", MOMENT, nullable=False),
)

versions = Table(
    "versions",
    metadata,
    Column("model_id", Integer, ForeignKey("models.id"), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("artifact_digest", DIGEST, ForeignKey("artifacts.digest"), nullable=False, index=True),
    Column("description", Text, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("batching", String(16), nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("retired_at", MOMENT, nullable=True),
    Column("retired_by", Text, nullable=True),
)

Index(
    "uq_versions_model_id_artifact_digest",
    versions.c.model_id,
    versions.c.artifact_digest,
    unique=True,
    sqlite_where=text("retired_at IS NULL"),
    postgresql_where=text("retired_at IS NULL"),
)

aliases = Table(
    "aliases",
    metadata,
    Column("model_id", Integer, ForeignKey("models.id"), primary_key=True, autoincrement=False),
    Column("name", ALIAS, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("canary_version", Integer, nullable=True),
    Column("canary_percent", Float(53), nullable=True),
    Column("canary_max_error_rate", Float(53), nullable=True),
    Column("canary_max_latency_seconds", Float(53), nullable=True),
    Column("shadow_version", Integer, nullable=True),
    Column("shadow_percent", Float(53), nullable=True),
    Column("shadow_trial", Integer, nullable=True),
    Column("generation", Integer, nullable=False),
    Column("updated_at", MOMENT, nullable=False),
    ForeignKeyConstraint(["model_id", "version"], ["versions.model_id", "versions.number"]),
    ForeignKeyConstraint(["model_id", "canary_version"], ["versions.model_id", "versions.number"]),
    ForeignKeyConstraint(["model_id", "shadow_version"], ["versions.model_id", "versions.number"]),
)

version_examples = Table(
    "version_examples",
    metadata,
    Column("model_id", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    # The first two are read with each version, the document only by whoever checks the version.
    Column("count", Integer, nullable=False),
    Column("digest", DIGEST, nullable=False),
    Column("document", Text, nullable=False),
    ForeignKeyConstraint(["model_id", "number"], ["versions.model_id", "versions.number"]),
)

standings = Table(
    "standings",
    metadata,
    # Rows only for versions that have something to say here: all others run in process and have done nothing.
    Column("model_id", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("isolation", String(16), nullable=False),
    Column("deaths", Integer, nullable=False),
    Column("is_requested", Boolean, nullable=False),
    Column("is_on_probation", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    ForeignKeyConstraint(["model_id", "number"], ["versions.model_id", "versions.number"]),
)

shadow_reports = Table(
    "shadow_reports",
    metadata,
    Column("model_id", Integer, ForeignKey("models.id"), primary_key=True, autoincrement=False),
    Column("alias", ALIAS, primary_key=True),
    Column("trial", Integer, nullable=False),
    Column("live_version", Integer, nullable=False),
    Column("shadow_version", Integer, nullable=False),
    Column("report", JSON, nullable=False),
)

moves = Table(
    "moves",
    metadata,
    Column("id", COUNTER, primary_key=True),
    Column("model_id", Integer, ForeignKey("models.id"), nullable=False),
    Column("alias", ALIAS, nullable=False),
    Column("from_version", Integer, nullable=True),
    Column("to_version", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("undoes", COUNTER, ForeignKey("moves.id"), nullable=True),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", MOMENT, nullable=False),
    ForeignKeyConstraint(["model_id", "from_version"], ["versions.model_id", "versions.number"]),
    ForeignKeyConstraint(["model_id", "to_version"], ["versions.model_id", "versions.number"]),
    Index(None, "model_id", "alias", "id"),
    sqlite_autoincrement=True,
)

events = Table(
    "events",
    metadata,
    Column("sequence", COUNTER, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("model_id", Integer, ForeignKey("models.id"), nullable=True),  # what is about a token is about no model
    Column("version", Integer, nullable=True),
    Column("alias", ALIAS, nullable=True),
    Column("actor", Text, nullable=False),
    Column("at", MOMENT, nullable=False),
    Column("detail", JSON, nullable=False),
    sqlite_autoincrement=True,
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("models", String(128), nullable=True),
    Column("secret_sha256", DIGEST, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", MOMENT, nullable=True),
    Column("revoked_at", MOMENT, nullable=True),
    Column("revoked_by", Text, nullable=True),
    Column("last_used_at", MOMENT, nullable=True),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("url", Text, nullable=False),
    Column("kinds", JSON, nullable=False),
    Column("models", JSON, nullable=False),
    Column("secret", String(64), nullable=False),  # as it is: it has to sign
    Column("is_active", Boolean, nullable=False),
    Column("is_failing", Boolean, nullable=False),
    Column("cursor", BigInteger, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("created_by", Text, nullable=False),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", COUNTER, primary_key=True),
    Column("webhook", String(12), ForeignKey("webhooks.id"), nullable=False),
    Column("sequence", BigInteger, nullable=True),  # a test is about no event
    Column("kind", String(32), nullable=False),
    Column("redelivers", BigInteger, nullable=True),  # no foreign key: the log forgets
    Column("asked_by", Text, nullable=True),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("status", Integer, nullable=True),
    Column("reason", Text, nullable=False),
    Column("seconds", Float(53), nullable=True),
    Column("created_at", MOMENT, nullable=False),
    Column("first_at", MOMENT, nullable=True),  # of its attempts
    Column("attempted_at", MOMENT, nullable=True),
    Column("next_at", MOMENT, nullable=False),
    Index(None, "webhook", "state", "id"),
    Index(None, "state", "next_at"),  # what is due is asked for every second
    sqlite_autoincrement=True,
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until", MOMENT, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("pid", Integer, primary_key=True, autoincrement=False),
    Column("applied", BigInteger, nullable=False),
    Column("resident", JSON, nullable=False),
    Column("reported_at", MOMENT, nullable=False),
    Column("failed", JSON, nullable=True),
    Column("read", BigInteger, nullable=True),
    Column("pending", JSON, nullable=True),
    Column("ring_id", Integer, nullable=True),
    Column("has_left", Boolean, nullable=True),
)
