"""Everything that is ever written to the registry's database.

Rules:
    1. Whoever writes holds the writers' lock (see ``registry.sql.engine``), so looking before adding is safe.
    2. Nothing here decides: that a version may be retired or an alias moved was decided by the use case.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, and_, delete, exists, insert, select, update

from registry.artifact import Artifact
from registry.batching import Batching
from registry.errors import ModelNotFound, VersionNotFound
from registry.events import EventKind
from registry.examples import Examples
from registry.names import quoted
from registry.records import Alias, Canary, Inspection, Move, MoveKind, Shadow, Trial, WorkerReport
from registry.shadow import ShadowReport
from registry.sql.catalog import SqlCatalog
from registry.sql.engine import announce
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
from registry.sql.tokens import TokenStatements
from registry.sql.webhooks import WebhookStatements
from registry.standing import CLEAN, Standing

_FORGET_WORKERS_AFTER = timedelta(hours=1)


class SqlTransaction(TokenStatements, WebhookStatements, SqlCatalog):
    """``registry.ports.Transaction`` over one connection that holds the writers' lock."""

    def ensure_model(self, name: str, *, description: str = "", actor: str, at: datetime) -> None:
        """Add the model if it is not there yet; one that is there keeps its description."""
        if not self._has(models, name=name):
            row = {"name": name, "description": description, "tags": {}, "next_number": 1}
            self._connection.execute(insert(models).values(row | {"created_at": at, "created_by": actor}))

    def change_model(self, name: str, *, description: str | None, tags: Mapping[str, str] | None) -> None:
        """Replace what is not None.

        Raises:
            ModelNotFound: there is no such model.
        """
        id_ = self._model_id(name)
        changes = _given(description=description, tags=None if tags is None else dict(tags))
        if changes:
            self._connection.execute(update(models).where(models.c.id == id_).values(changes))

    def add_artifact(self, artifact: Artifact, inspection: Inspection, *, at: datetime) -> None:
        """Remember an artifact and its inspection; does nothing for what is remembered already."""
        digest = artifact.digest.hex
        if not self._has(artifacts, digest=digest):
            row = {"digest": digest, "runtime": inspection.runtime, "created_at": at}
            self._connection.execute(insert(artifacts).values(row))
            files = [
                {
                    "artifact_digest": digest,
                    "position": position,
                    "name": file.name,
                    "file_digest": file.digest.hex,
                    "size_bytes": file.size_bytes,
                }
                for position, file in enumerate(artifact.files)
            ]
            self._connection.execute(insert(artifact_files), files)
        if not self._has(inspections, artifact_digest=digest, runtime=inspection.runtime):
            self._connection.execute(
                insert(inspections).values(
                    artifact_digest=digest,
                    runtime=inspection.runtime,
                    inspection=inspection.as_json(),
                    created_at=at,
                )
            )

    def add_version(
        self,
        model: str,
        artifact: Artifact,
        *,
        description: str,
        tags: Mapping[str, str],
        actor: str,
        at: datetime,
        batching: Batching = Batching.EXACT,
    ) -> int:
        """Add a version and return its number: one more than any that the model has ever had.

        Raises:
            ModelNotFound: there is no such model.
        """
        id_ = self._model_id(model)
        number: int = self._connection.execute(select(models.c.next_number).where(models.c.id == id_)).scalar_one()
        self._connection.execute(update(models).where(models.c.id == id_).values(next_number=number + 1))
        self._connection.execute(
            insert(versions).values(
                model_id=id_,
                number=number,
                artifact_digest=artifact.digest.hex,
                description=description,
                tags=dict(tags),
                batching=batching.value,
                created_at=at,
                created_by=actor,
            )
        )
        return number

    def change_version(
        self,
        model: str,
        number: int,
        *,
        description: str | None,
        tags: Mapping[str, str] | None,
        batching: Batching | None,
    ) -> None:
        """Replace what is not None; everything else about a version is immutable.

        Raises:
            ModelNotFound, VersionNotFound: there is no such model or version.
        """
        self._change_version(
            model,
            number,
            _given(
                description=description,
                tags=None if tags is None else dict(tags),
                batching=None if batching is None else batching.value,
            ),
        )

    def set_standing(self, model: str, number: int, standing: Standing) -> None:
        """Replace where the version runs, and why; one that has done nothing has no row.

        Raises:
            ModelNotFound: there is no such model.
        """
        id_ = self._model_id(model)
        table = standings
        self._connection.execute(delete(table).where(and_(table.c.model_id == id_, table.c.number == number)))
        if standing != CLEAN:
            self._connection.execute(insert(table).values(model_id=id_, number=number, **standing.as_json()))

    def set_examples(self, model: str, number: int, examples: Examples) -> None:
        """Replace the version's golden examples.

        Raises:
            ModelNotFound: there is no such model.
        """
        id_ = self._model_id(model)
        table = version_examples
        self._connection.execute(delete(table).where(and_(table.c.model_id == id_, table.c.number == number)))
        facts = examples.facts
        if facts is not None:
            row = {"count": facts.count, "digest": facts.digest, "document": examples.document}
            self._connection.execute(insert(table).values(model_id=id_, number=number, **row))

    def add_shadow_report(self, trial: Trial, report: ShadowReport) -> None:
        """Add to what the trial has shown; does nothing if a later one has begun."""
        id_ = self._model_id(trial.model)
        known = self.find_shadow_report(trial.model, trial.alias)
        if known is not None and known[0].number > trial.number:
            return
        total = known[1].plus(report) if known is not None and known[0].number == trial.number else report
        table = shadow_reports
        self._connection.execute(delete(table).where(and_(table.c.model_id == id_, table.c.alias == trial.alias)))
        row = {
            "model_id": id_,
            "alias": trial.alias,
            "trial": trial.number,
            "live_version": trial.live,
            "shadow_version": trial.shadow,
            "report": total.as_json(),
        }
        self._connection.execute(insert(table).values(row))

    def retire_version(self, model: str, number: int, *, actor: str, at: datetime) -> None:
        """Leave a tombstone in the version's place.

        Raises:
            ModelNotFound, VersionNotFound: there is no such model or version.
        """
        self._change_version(model, number, {"retired_at": at, "retired_by": actor})

    def set_alias(
        self,
        model: str,
        name: str,
        *,
        version: int,
        canary: Canary | None,
        shadow: Shadow | None = None,
        at: datetime,
    ) -> Alias:
        """Point the alias somewhere and return it with its new generation; a shadow without a trial begins one.

        Raises:
            ModelNotFound: there is no such model.
        """
        id_ = self._model_id(model)
        before = self.find_alias(model, name)
        generation = 1 if before is None else before.generation + 1
        if shadow is not None and not shadow.trial:
            shadow = replace(shadow, trial=generation)
        row = {
            "version": version,
            "generation": generation,
            "updated_at": at,
            **_canary_row(canary),
            **_shadow_row(shadow),
        }
        if before is None:
            self._connection.execute(insert(aliases).values(model_id=id_, name=name, **row))
        else:
            here = and_(aliases.c.model_id == id_, aliases.c.name == name)
            self._connection.execute(update(aliases).where(here).values(row))
        return Alias(
            model=model,
            name=name,
            version=version,
            canary=canary,
            shadow=shadow,
            generation=generation,
            updated_at=at,
        )

    def add_move(
        self,
        model: str,
        alias: str,
        *,
        from_version: int | None,
        to_version: int,
        kind: MoveKind,
        undoes: int | None,
        actor: str,
        reason: str,
        at: datetime,
    ) -> Move:
        """Append to the history.

        Raises:
            ModelNotFound: there is no such model.
        """
        row = {
            "alias": alias,
            "from_version": from_version,
            "to_version": to_version,
            "undoes": undoes,
            "actor": actor,
            "reason": reason,
            "at": at,
        }
        number = self._counted_moves(model, moves.c.alias == alias)[alias] + 1
        id_ = self._insert(moves, model_id=self._model_id(model), kind=kind.value, **row)
        return Move(id=id_, number=number, model=model, kind=kind, **row)  # type: ignore[arg-type]

    def add_event(
        self,
        kind: EventKind,
        *,
        model: str | None,
        version: int | None = None,
        alias: str | None = None,
        actor: str,
        at: datetime,
        detail: Mapping[str, Any],
    ) -> int:
        """Append to the feed and return the sequence number.

        Raises:
            ModelNotFound: there is no such model.
        """
        announce(self._connection)
        return self._insert(
            events,
            kind=kind.value,
            model_id=None if model is None else self._model_id(model),
            version=version,
            alias=alias,
            actor=actor,
            at=at,
            detail=dict(detail),
        )

    def report_worker(self, report: WorkerReport) -> None:
        """Replace what this worker said of itself before, and forget workers silent for an hour."""
        same = and_(workers.c.host == report.host, workers.c.pid == report.pid)
        silent = workers.c.reported_at < report.reported_at - _FORGET_WORKERS_AFTER
        self._connection.execute(delete(workers).where(same | silent))
        self._connection.execute(
            insert(workers).values(
                host=report.host,
                pid=report.pid,
                applied=report.applied,
                resident=list(report.resident),
                reported_at=report.reported_at,
                failed=[asdict(switch) for switch in report.failed],
                read=report.read,
                pending=list(report.pending),
                ring_id=report.ring_id or None,
                has_left=False,
            )
        )

    def forget_worker(self, host: str, pid: int) -> None:
        """Forget what a worker said of itself, or that it is there; does nothing if it has said nothing."""
        same = and_(workers.c.host == host, workers.c.pid == pid)
        self._connection.execute(delete(workers).where(same, workers.c.ring_id.is_(None)))
        self._connection.execute(update(workers).where(same).values(has_left=True))

    def _model_id(self, name: str) -> int:
        id_ = self._connection.scalar(select(models.c.id).where(models.c.name == name))
        if id_ is None:
            raise ModelNotFound(f"there is no model {quoted(name)}")
        return int(id_)

    def _has(self, table: Table, **columns: Any) -> bool:
        same = and_(*(table.c[name] == value for name, value in columns.items()))
        return bool(self._connection.scalar(select(exists().where(same))))

    def _insert(self, table: Table, **columns: Any) -> int:
        key = self._connection.execute(insert(table).values(columns)).inserted_primary_key
        if key is None:  # one row with a key that the database numbers always comes back with it
            raise AssertionError(table.name)
        return int(key[0])

    def _change_version(self, model: str, number: int, changes: Mapping[str, Any]) -> None:
        here = and_(versions.c.model_id == self._model_id(model), versions.c.number == number)
        if not self._connection.scalar(select(exists().where(here))):
            raise VersionNotFound(f"model {quoted(model)} has no version {number}")
        if changes:
            self._connection.execute(update(versions).where(here).values(changes))


def _canary_row(canary: Canary | None) -> dict[str, Any]:
    return {
        "canary_version": None if canary is None else canary.version,
        "canary_percent": None if canary is None else canary.percent,
        "canary_max_error_rate": None if canary is None else canary.max_error_rate,
        "canary_max_latency_seconds": None if canary is None else canary.max_latency_seconds,
    }


def _shadow_row(shadow: Shadow | None) -> dict[str, Any]:
    return {
        "shadow_version": None if shadow is None else shadow.version,
        "shadow_percent": None if shadow is None else shadow.percent,
        "shadow_trial": None if shadow is None else shadow.trial,
    }


def _given(**columns: Any) -> dict[str, Any]:
    return {name: value for name, value in columns.items() if value is not None}
