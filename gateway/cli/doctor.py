"""``sardonyx doctor``: is this machine fit to serve?

1. Each check stands alone: one that fails does not keep the others from being made.
2. A failure is something that keeps the gateway from working (exit 1); a warning is something to know. Either says what
   to do.
3. What confines the children that look at uploaded models is found out by one of them, not guessed from the kernel.
"""

import hashlib
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from gateway.cli.checks import Check, Verdict, attempt, failed
from gateway.cli.confinement_checks import list_measures
from gateway.cli.connection import local_settings
from gateway.cli.exits import EXPECTED, ExitCode
from gateway.cli.machine_checks import check_clock, check_cpus, check_locale
from gateway.cli.options import AsJson
from gateway.cli.output import Output, spell_bytes
from registry.inspection.control_groups import cpu_quota

if TYPE_CHECKING:
    from gateway.parts import Parts
    from gateway.settings import Settings

_ADVICE: Final = {
    "cache": "SARDONYX_CACHE_DIR has to be a folder that this user may write to, with room",
    "memory": "SARDONYX_MEMORY_BUDGET: bytes, or a share such as 50%",
    "parts": "correct the setting that it names",
    "database": "SARDONYX_DATABASE_URL has to lead to a database that answers this user",
    "store": "SARDONYX_STORE, SARDONYX_S3_ENDPOINT_URL and the credentials have to lead to a store that takes writes",
    "runtime": "install onnxruntime anew",
}


def doctor(*, as_json: AsJson = False) -> None:
    """Check whether this machine is fit to serve.

    Looks at the settings, the database, the store, the cache and the machine; exits with 1 if something is broken.
    """
    settings = local_settings()
    checks = list(examine(settings))
    output = Output(as_json)
    output.data([asdict(check) for check in checks])
    rows = [(check.name, check.verdict, check.detail, check.advice) for check in checks]
    output.table(("CHECK", "VERDICT", "DETAIL", "WHAT TO DO"), rows)
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
        yield failed("parts", error, advice=_ADVICE["parts"])
        return
    try:
        yield from _check_parts(parts)
    finally:
        parts.close()


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
        advice = "" if measure.is_in_force else "docs/administrators.md, What confines inspection"
        yield Check(name=measure.name, verdict=verdict, detail=measure.detail, advice=advice)


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
    yield check_cpus(
        affinity=len(os.sched_getaffinity(0)),
        quota=cpu_quota(),
        workers=settings.workers,
        run_threads=settings.run_threads,
    )
    yield _attempt("memory", lambda: f"{spell_bytes(settings.memory_budget_bytes)} for loaded models")


def _check_parts(parts: "Parts") -> Iterator[Check]:
    yield _attempt("runtime", lambda: str(parts.inspector.runtime))
    yield from _check_database(parts)
    yield from _check_store(parts)


def _check_database(parts: "Parts") -> Iterator[Check]:
    """Yield whether it answers, then whether it has this program's schema, then whether its clock is right."""
    try:
        current, head = parts.schema_revisions()
    except EXPECTED as error:
        yield failed("database", error, advice=_ADVICE["database"])
        return
    is_embedded = parts.settings.embedded_database_path is not None
    kind = "SQLite, in the data dir" if is_embedded else "PostgreSQL, answers"
    yield Check(name="database", verdict=Verdict.OK, detail=kind)
    if current != head:
        # An embedded database that is not there yet is made by the first serve.
        verdict = Verdict.WARNING if current is None else Verdict.FAILED
        detail = f"the schema is {current or 'empty'}, this program needs {head}"
        yield Check(name="migrations", verdict=verdict, detail=detail, advice="sardonyx db upgrade")
        return
    yield Check(name="migrations", verdict=Verdict.OK, detail=f"schema {current}")
    if not is_embedded:
        yield _compare_database_clock(parts)


def _compare_database_clock(parts: "Parts") -> Check:
    name = "database clock"
    try:
        before = parts.clock.now()
        with parts.registry.reading() as catalog:
            there = catalog.now()
        return check_clock(name, there, before=before, after=parts.clock.now())
    except EXPECTED as error:
        return failed(name, error, advice=_ADVICE["database"])


def _check_store(parts: "Parts") -> Iterator[Check]:
    """Yield whether it keeps bytes, whether it keeps its word to write once, and whether its clock is right."""
    yield _attempt("store", lambda: _probe_store(parts))
    from registry.storage import Probed

    if not isinstance(parts.store, Probed):
        return
    before = parts.clock.now()
    try:
        probe = parts.store.probe()
    except EXPECTED as error:
        yield failed("store: put if absent", error, advice=_ADVICE["store"])
        return
    after = parts.clock.now()
    if probe.is_exclusive:
        yield Check(name="store: put if absent", verdict=Verdict.OK, detail="a second write is refused")
    else:
        yield Check(
            name="store: put if absent",
            verdict=Verdict.FAILED,
            detail="a second write to one place is taken: two uploads at once may spoil each other",
            advice="use a store with conditional puts (If-None-Match), or a file system with hard links",
        )
    if probe.clock is not None:
        yield check_clock("store clock", probe.clock, before=before, after=after)


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
    return attempt(name, examine_it, advice=_ADVICE[name])
