"""``sardonyx doctor``: is this machine fit to serve?

1. Each check stands alone: one that fails does not keep the others from being made.
2. A failure is something that keeps the gateway from working (exit 1); a warning is something to know.
3. What confines the children that look at uploaded models is found out by one of them, not guessed from the kernel.
"""

import hashlib
import locale
import secrets
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gateway.cli.confinement_checks import list_measures
from gateway.cli.connection import local_settings
from gateway.cli.exits import EXPECTED, ExitCode, document_of
from gateway.cli.options import AsJson
from gateway.cli.output import Output, spell_bytes

if TYPE_CHECKING:
    from gateway.parts import Parts
    from gateway.settings import Settings

STRING_LOCALE = "en_US.UTF-8"
"""What ONNX Runtime's string operators ask the system for."""


class Verdict(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    detail: str


def doctor(*, as_json: AsJson = False) -> None:
    """Check whether this machine is fit to serve.

    Looks at the settings, the database, the store, the cache and the machine; exits with 1 if something is broken.
    """
    settings = local_settings()
    checks = list(examine(settings))
    output = Output(as_json)
    output.data([asdict(check) for check in checks])
    output.table(("CHECK", "VERDICT", "DETAIL"), [(check.name, check.verdict, check.detail) for check in checks])
    if any(check.verdict is Verdict.FAILED for check in checks):
        raise typer.Exit(ExitCode.FAILED)


def examine(settings: "Settings") -> Iterator[Check]:
    """Yield every check; those of the parts only where the parts can be opened."""
    yield Check(name="settings", verdict=Verdict.OK, detail=f"data in {settings.data_dir.absolute()}")
    yield check_locale()
    yield from _check_machine(settings)
    yield from check_confinement()
    yield _attempt("cache", lambda: check_folder(settings.folders_dir))
    from gateway.parts import open_parts

    try:
        parts = open_parts(settings)
    except EXPECTED as error:
        yield _failed("parts", error)
        return
    try:
        yield from _check_parts(parts)
    finally:
        parts.close()


def check_locale() -> Check:
    """Look whether the system has the locale that string models need."""
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, STRING_LOCALE)
    except locale.Error:
        detail = f"{STRING_LOCALE} is missing: models with string operators may not load (locale-gen {STRING_LOCALE})"
        return Check(name="locale", verdict=Verdict.WARNING, detail=detail)
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
    return Check(name="locale", verdict=Verdict.OK, detail=STRING_LOCALE)


def check_confinement() -> Iterator[Check]:
    """Have a child confine itself as those do that look at uploaded models, and yield what it says is in force."""
    from registry.inspection.measures import ask

    try:
        measures = list(list_measures(ask()))
    except OSError as error:
        yield Check(name="inspection", verdict=Verdict.FAILED, detail=str(error))
        return
    for measure in measures:
        verdict = Verdict.OK if measure.is_in_force else Verdict.WARNING
        yield Check(name=measure.name, verdict=verdict, detail=measure.detail)


def check_folder(folder: Path) -> str:
    """Write a file in a folder, read it back and remove it; return words about the folder.

    Raises:
        OSError: it cannot be made or used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = secrets.token_bytes(64)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(content)
        file.seek(0)
        if file.read() != content:
            raise OSError(f"{folder} does not give back what was written")
    return f"{folder.absolute()} can be written"


def _check_machine(settings: "Settings") -> Iterator[Check]:
    from registry.inspection.host import usable_cpus

    cpu_count = usable_cpus()
    verdict = Verdict.WARNING if settings.workers > cpu_count else Verdict.OK
    yield Check(name="cpus", verdict=verdict, detail=f"{cpu_count} for {settings.workers} worker(s)")
    yield _attempt("memory", lambda: f"{spell_bytes(settings.memory_budget_bytes)} for loaded models")


def _check_parts(parts: "Parts") -> Iterator[Check]:
    yield _attempt("runtime", lambda: str(parts.inspector.runtime))
    yield _check_schema(parts)
    yield _attempt("store", lambda: _probe_store(parts))


def _check_schema(parts: "Parts") -> Check:
    try:
        current, head = parts.schema_revisions()
    except EXPECTED as error:
        return _failed("database", error)
    if current == head:
        return Check(name="database", verdict=Verdict.OK, detail=f"schema {current}")
    # An embedded database that is not there yet is made by the first serve.
    verdict = Verdict.WARNING if current is None else Verdict.FAILED
    detail = f"schema {current or 'empty'}, this program needs {head}: sardonyx db upgrade"
    return Check(name="database", verdict=verdict, detail=detail)


def _probe_store(parts: "Parts") -> str:
    """Put random bytes into the store, read them back and discard them."""
    from registry.artifact import Digest

    content = secrets.token_bytes(1024)
    digest = Digest(hashlib.sha256(content).hexdigest())
    with tempfile.TemporaryDirectory(prefix="sardonyx-doctor-") as folder:
        path = Path(folder) / "probe"
        path.write_bytes(content)
        parts.store.put(digest, path)
    try:
        if b"".join(parts.store.stream(digest)) != content:
            raise OSError("the store does not give back what was put into it")
    finally:
        parts.store.discard(digest)
    return "puts, reads and discards"


def _attempt(name: str, examine_it: Callable[[], str]) -> Check:
    try:
        return Check(name=name, verdict=Verdict.OK, detail=examine_it())
    except EXPECTED as error:
        return _failed(name, error)


def _failed(name: str, error: Exception) -> Check:
    document = document_of(error)
    return Check(name=name, verdict=Verdict.FAILED, detail=f"{document['title']}: {document['detail']}")
