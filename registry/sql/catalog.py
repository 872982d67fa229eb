"""Every question that the registry's database is asked; rows come in, records go out."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, and_, func, or_, select, tuple_

from registry.artifact import Artifact, Digest
from registry.errors import InvalidRequest
from registry.events import Event, EventKind
from registry.examples import Examples
from registry.names import quoted
from registry.records import (
    Alias,
    Inspection,
    Model,
    Move,
    Page,
    Trial,
    Version,
    WorkerReport,
)
from registry.shadow import ShadowReport
from registry.sql.engine import database_time
from registry.sql.rows import alias_of, event_of, file_of, model_of, move_of, trial_of, version_of, worker_of
from registry.sql.tables import (
    aliases,
    artifact_files,
    artifacts,
    events,
    inspections,
    models,
    moves,
    shadow_reports,
    standings,
    version_examples,
    versions,
    workers,
)
from registry.sql.tokens import TokenQueries
from registry.sql.webhooks import WebhookQueries
from registry.standing import Isolation

_ARTIFACTS_AT_ONCE = 1000
_NAMES_AT_ONCE = 1000

_VERSIONS = (
    select(
        versions,
        models.c.name.label("model"),
        inspections.c.inspection,
        version_examples.c.count.label("count"),
        version_examples.c.digest.label("digest"),
        standings.c.isolation,
        standings.c.deaths,
        standings.c.is_requested,
        standings.c.is_on_probation,
        standings.c.reason,
    )
    .join(models, models.c.id == versions.c.model_id)
    .join(artifacts, artifacts.c.digest == versions.c.artifact_digest)
    .join(
        inspections,
        (inspections.c.artifact_digest == artifacts.c.digest) & (inspections.c.runtime == artifacts.c.runtime),
    )
    .outerjoin(
        version_examples,
        (version_examples.c.model_id == versions.c.model_id) & (version_examples.c.number == versions.c.number),
    )
    .outerjoin(standings, (standings.c.model_id == versions.c.model_id) & (standings.c.number == versions.c.number))
)
_AWAY = select(standings.c.model_id, standings.c.number).where(standings.c.isolation != Isolation.IN_PROCESS.value)
_LATEST = (
    select(versions.c.number)
    .where(versions.c.model_id == models.c.id, versions.c.retired_at.is_(None))
    .order_by(versions.c.number.desc())
    .limit(1)
    .scalar_subquery()
)
_MODELS = select(models, _LATEST.label("latest_version"))
_ALIASES = select(aliases, models.c.name.label("model")).join(models, models.c.id == aliases.c.model_id)
_MOVES = select(moves, models.c.name.label("model")).join(models, models.c.id == moves.c.model_id)
_EVENTS = select(events, models.c.name.label("model")).outerjoin(models, models.c.id == events.c.model_id)
_LIKE = str.maketrans({"*": "%", "?": "_", "%": r"\%", "_": r"\_", "\\": r"\\"})
"""From a pattern of names to what LIKE takes; SQLite's takes upper for lower case, which no name has."""


class SqlCatalog(TokenQueries, WebhookQueries):
    """``registry.ports.Catalog`` over one connection with an open transaction.

    Not safe for threads, as the connection is not; of no use once the transaction has ended.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find_model(self, name: str) -> Model | None:
        """Return the model, or None."""
        row = self._first(_MODELS.where(models.c.name == name))
        return None if row is None else self._models([row])[0]

    def list_models(
        self, *, limit: int, after: str | None = None, query: str | None = None, pattern: str | None = None
    ) -> Page[Model]:
        """Return models by name; ``query`` ignores the case of ASCII letters."""
        statement = _MODELS.order_by(models.c.name).limit(limit + 1)
        if after is not None:
            statement = statement.where(models.c.name > after)
        if query:
            columns = (models.c.name, models.c.description)
            statement = statement.where(or_(*(column.icontains(query, autoescape=True) for column in columns)))
        if pattern is not None:
            statement = statement.where(models.c.name.like(pattern.translate(_LIKE), escape="\\"))
        rows = self._all(statement)
        cursor = rows[limit - 1]["name"] if len(rows) > limit else None
        return Page(items=self._models(rows[:limit]), next=cursor)

    def find_version(self, model: str, number: int) -> Version | None:
        """Return the version, retired or not, or None."""
        row = self._first(_VERSIONS.where(models.c.name == model, versions.c.number == number))
        return None if row is None else self._versions([row])[0]

    def find_version_of_artifact(self, model: str, digest: Digest) -> Version | None:
        """Return the model's version that has these bytes and is not retired, or None."""
        row = self._first(
            _VERSIONS.where(
                models.c.name == model, versions.c.artifact_digest == digest.hex, versions.c.retired_at.is_(None)
            )
        )
        return None if row is None else self._versions([row])[0]

    def list_versions(self, model: str, *, limit: int, after: str | None = None) -> Page[Version]:
        """Return a model's versions, newest first, retired ones included.

        Raises:
            InvalidRequest: ``after`` is no cursor of such a list.
        """
        statement = _VERSIONS.where(models.c.name == model).order_by(versions.c.number.desc()).limit(limit + 1)
        if after is not None:
            statement = statement.where(versions.c.number < _number_in(after, after))
        rows = self._all(statement)
        cursor = str(rows[limit - 1]["number"]) if len(rows) > limit else None
        return Page(items=self._versions(rows[:limit]), next=cursor)

    def list_isolated(self, *, limit: int, after: str | None = None) -> Page[Version]:
        """Return the versions that do not run in process and are not retired, by model and number.

        Raises:
            InvalidRequest: ``after`` is no cursor of such a list.
        """
        away = and_(tuple_(versions.c.model_id, versions.c.number).in_(_AWAY), versions.c.retired_at.is_(None))
        statement = _VERSIONS.where(away).order_by(models.c.name, versions.c.number).limit(limit + 1)
        if after is not None:
            model, _, digits = after.rpartition(":")
            later = and_(models.c.name == model, versions.c.number > _number_in(digits, after))
            statement = statement.where(or_(models.c.name > model, later))
        rows = self._all(statement)
        cursor = "{model}:{number}".format_map(rows[limit - 1]) if len(rows) > limit else None
        return Page(items=self._versions(rows[:limit]), next=cursor)

    def find_alias(self, model: str, name: str) -> Alias | None:
        """Return the alias, or None if it has never been moved."""
        row = self._first(_ALIASES.where(models.c.name == model, aliases.c.name == name))
        return None if row is None else alias_of(row)

    def find_inspection(self, digest: Digest, runtime: str) -> Inspection | None:
        """Return what ``runtime`` found out about an artifact, or None."""
        row = self._first(
            select(inspections.c.inspection).where(
                inspections.c.artifact_digest == digest.hex, inspections.c.runtime == runtime
            )
        )
        return None if row is None else Inspection.from_json(row["inspection"])

    def find_examples(self, model: str, number: int) -> Examples:
        """Return the version's golden examples, in their order; none if it has none."""
        of_model = version_examples.join(models, models.c.id == version_examples.c.model_id)
        statement = select(version_examples.c.document).select_from(of_model)
        document = self._connection.scalar(statement.where(models.c.name == model, version_examples.c.number == number))
        return Examples(()) if document is None else Examples.read(document)

    def find_shadow_report(self, model: str, alias: str) -> tuple[Trial, ShadowReport] | None:
        """Return the newest trial that there are comparisons of, and what they show; or None."""
        of_model = shadow_reports.join(models, models.c.id == shadow_reports.c.model_id)
        statement = select(models.c.name.label("model"), shadow_reports).select_from(of_model)
        row = self._first(statement.where(models.c.name == model, shadow_reports.c.alias == alias))
        return None if row is None else (trial_of(row), ShadowReport.from_json(row["report"]))

    def list_moves(
        self, model: str, alias: str | None = None, *, after: int = 0, limit: int | None = None
    ) -> Sequence[Move]:
        """Return the moves of one alias, or of all, with larger ids, oldest first."""
        statement = _MOVES.where(models.c.name == model, moves.c.id > after).order_by(moves.c.id).limit(limit)
        if alias is not None:
            statement = statement.where(moves.c.alias == alias)
        counts: Counter[str] = self._counted_moves(model, moves.c.id <= after) if after else Counter()
        found = []
        for row in self._all(statement):
            counts[row["alias"]] += 1
            found.append(move_of(row, counts[row["alias"]]))
        return found

    def list_newest_moves(self, model: str, *, before: int | None = None, limit: int) -> Sequence[Move]:
        """Return the moves of all of a model's aliases, newest first; only those with smaller ids than ``before``."""
        statement = _MOVES.where(models.c.name == model).order_by(moves.c.id.desc()).limit(limit)
        if before is not None:
            statement = statement.where(moves.c.id < before)
        counts = self._counted_moves(model, *([] if before is None else [moves.c.id < before]))
        found = []
        for row in self._all(statement):
            found.append(move_of(row, counts[row["alias"]]))
            counts[row["alias"]] -= 1
        return found

    def list_events(self, *, after: int, limit: int) -> Sequence[Event]:
        """Return events with larger sequence numbers, in order."""
        rows = self._all(_EVENTS.where(events.c.sequence > after).order_by(events.c.sequence).limit(limit))
        return [event_of(row) for row in rows]

    def find_last_moved(self, model: str, alias: str) -> int:
        """Return the sequence number of the newest event of an alias, 0 if there is none."""
        of_alias = and_(models.c.name == model, events.c.alias == alias, events.c.kind == EventKind.ALIAS_MOVED.value)
        statement = select(events.c.sequence).join(models, models.c.id == events.c.model_id).where(of_alias)
        return self._connection.scalar(statement.order_by(events.c.sequence.desc()).limit(1)) or 0

    def latest_sequence(self) -> int:
        """Return the sequence number of the newest event, 0 if there is none."""
        return self._connection.scalar(select(func.max(events.c.sequence))) or 0

    def now(self) -> datetime:
        """Return the moment by the database's clock, the only one that all its clients share."""
        return database_time(self._connection)

    def list_aliases(self, names: Collection[str]) -> Sequence[Alias]:
        """Return the aliases of all models with these names."""
        wanted = sorted(names)
        parts = (wanted[at : at + _NAMES_AT_ONCE] for at in range(0, len(wanted), _NAMES_AT_ONCE))
        return [alias_of(row) for part in parts for row in self._all(_ALIASES.where(models.c.name.in_(part)))]

    def list_workers(self, *, since: datetime) -> Sequence[WorkerReport]:
        """Return the workers that have reported since then and have not left, by host and process id."""
        return self._list_reports(and_(workers.c.reported_at >= since, workers.c.has_left.is_not(True)))

    def list_places(self) -> Sequence[WorkerReport]:
        """Return what workers of gateways with a place on the proxy's ring have said, until they are long silent."""
        return self._list_reports(workers.c.ring_id.is_not(None))

    def _list_reports(self, condition: ColumnElement[bool]) -> list[WorkerReport]:
        statement = select(workers).where(condition).order_by(workers.c.host, workers.c.pid)
        return [worker_of(row) for row in self._all(statement)]

    def artifacts(self) -> Iterator[Artifact]:
        """Yield every artifact that a version refers to, those of retired versions too."""
        statement = (
            select(artifact_files)
            .where(artifact_files.c.artifact_digest.in_(select(versions.c.artifact_digest)))
            .order_by(artifact_files.c.artifact_digest, artifact_files.c.position)
        )
        rows = self._connection.execute(statement, execution_options={"yield_per": _ARTIFACTS_AT_ONCE}).mappings()
        for digest, files in groupby(rows, key=lambda row: row["artifact_digest"]):
            yield Artifact(digest=Digest(digest), files=tuple(map(file_of, files)))

    def _all(self, statement: Select[Any]) -> Sequence[RowMapping]:
        return self._connection.execute(statement).mappings().all()

    def _first(self, statement: Select[Any]) -> RowMapping | None:
        return self._connection.execute(statement).mappings().first()

    def _counted_moves(self, model: str, *conditions: ColumnElement[bool]) -> Counter[str]:
        """Return how many moves each alias of a model has, of those that fulfil the conditions."""
        of_model = moves.join(models, models.c.id == moves.c.model_id)
        statement = select(moves.c.alias, func.count().label("count")).select_from(of_model)
        rows = self._all(statement.where(models.c.name == model, *conditions).group_by(moves.c.alias))
        return Counter({row["alias"]: row["count"] for row in rows})

    def _models(self, rows: Sequence[RowMapping]) -> tuple[Model, ...]:
        ids = [row["id"] for row in rows]
        found = self._all(_ALIASES.where(aliases.c.model_id.in_(ids)).order_by(aliases.c.model_id, aliases.c.name))
        by_model = {id_: tuple(map(alias_of, group)) for id_, group in groupby(found, key=lambda row: row["model_id"])}
        return tuple(model_of(row, by_model.get(row["id"], ())) for row in rows)

    def _versions(self, rows: Sequence[RowMapping]) -> tuple[Version, ...]:
        digests = {row["artifact_digest"] for row in rows}
        found = self._all(
            select(artifact_files)
            .where(artifact_files.c.artifact_digest.in_(digests))
            .order_by(artifact_files.c.artifact_digest, artifact_files.c.position)
        )
        files = {
            digest: Artifact(digest=Digest(digest), files=tuple(map(file_of, group)))
            for digest, group in groupby(found, key=lambda row: row["artifact_digest"])
        }
        return tuple(version_of(row, files[row["artifact_digest"]]) for row in rows)


def _number_in(digits: str, cursor: str) -> int:
    """Return the version's number in a cursor that somebody has sent."""
    if not (digits.isascii() and digits.isdigit() and len(digits) <= len("999999999")):
        raise InvalidRequest(f"{quoted(cursor)} is no cursor of this list: send 'next' of the page before")
    return int(digits)
