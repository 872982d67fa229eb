"""Having versions that another kind of host has inspected tried here, too.

Which rows may share a run, and how many threads a run may have, depends on the host.

1. A version that is loaded, and whose reports are not of this host, is inspected once more, in a child of low priority;
   until that is done, its requests run one by one and with one thread. Nobody waits for it.
2. What is found is kept in a folder that all workers of the host share, by the artifact and the kind of host.
3. What fails is logged and harms nobody; it is tried again after the next load.
"""

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any

import structlog

from gateway.serving.line import Line
from gateway.serving.routes import Documents
from registry.batching import BatchReport, unproven
from registry.errors import ServiceError
from registry.records import Inspection, Version
from registry.threads import ThreadReport, one_thread


class Proving:
    """A line of versions to be tried; safe for threads.

    Args:
        host: ``registry.inspection.host.host_key``.
        documents: rule 2.
        inspect: tries a version here; blocks.
        done: told in that thread of each version that has been tried.
        executor: where both are called. None tries nothing.
    """

    def __init__(
        self,
        host: str,
        documents: Documents,
        inspect: Callable[[Version], Inspection],
        done: Callable[[Version], None],
        executor: Executor | None,
    ) -> None:
        self._host = host
        self._documents = documents
        self._inspect = inspect
        self._done = done
        self._line = Line(self._run, executor)

    def find(self, version: Version) -> BatchReport | None:
        """Return what was found out on this kind of host about sharing runs."""
        report = version.inspection.batch
        if report is not None and report.host == self._host:
            return report
        with suppress(KeyError, ValueError, TypeError):
            return BatchReport.from_json(self._read(version)["report"])
        return None

    def find_threads(self, version: Version) -> ThreadReport | None:
        """Return what was found out on this kind of host about the threads of a run."""
        report = version.inspection.threads
        if report is not None and report.host == self._host:
            return report
        with suppress(KeyError, ValueError, TypeError):
            return ThreadReport.from_json(self._read(version)["threads"])
        return None

    def want(self, version: Version) -> None:
        """Have a version tried when its turn comes, unless that has been done; blocks for a moment."""
        if not self._line.is_closed and not self._is_tried(version):
            self._line.add(version)

    def note(self, version: Version, found: Inspection) -> BatchReport:
        """Keep what an inspection on this host has found, and return it."""
        batch = found.batch or unproven(self._host, "no made-up input is accepted")
        threads = found.threads or one_thread(self._host, "it could not be tried to its end")
        self._documents.put(self._key(version), {"report": batch.as_json(), "threads": threads.as_json()})
        return batch

    def _is_tried(self, version: Version) -> bool:
        return self.find(version) is not None and self.find_threads(version) is not None

    def _run(self, version: Version) -> None:
        log = structlog.get_logger().bind(model=version.model, version=version.number)
        try:
            if not self._is_tried(version):  # no sibling has been quicker
                batch = self.note(version, self._inspect(version))
                log.info("batching_tried", found=batch.level.value)
            self._done(version)
        except ServiceError as error:
            log.warning("batching_not_tried", code=error.code)
        except Exception:
            log.exception("batching_not_tried")  # rule 3

    def _read(self, version: Version) -> dict[str, Any]:
        return self._documents.get(self._key(version)) or {}

    def _key(self, version: Version) -> str:
        return f"{version.artifact.digest.hex}.{self._host}"
