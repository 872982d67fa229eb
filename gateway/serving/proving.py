"""Having versions that another kind of host has inspected tried here, too: which rows may share a run depends on it.

1. A version that is loaded, and whose report is not of this host, is inspected once more, in a child of low priority;
   until that is done, its requests run one by one. Nobody waits for it.
2. What is found is kept in a folder that all workers of the host share, by the artifact and the kind of host.
3. What fails is logged and harms nobody; it is tried again after the next load.
"""

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress

import structlog

from gateway.serving.line import Line
from gateway.serving.routes import Documents
from registry.batching import BatchReport
from registry.errors import ServiceError
from registry.records import Version


class Proving:
    """A line of versions to be tried; safe for threads.

    Args:
        host: ``registry.inspection.host.host_key``.
        documents: rule 2.
        prove: tries a version's rows here; blocks.
        done: told in that thread of each version that has been tried.
        executor: where both are called. None tries nothing.
    """

    def __init__(
        self,
        host: str,
        documents: Documents,
        prove: Callable[[Version], BatchReport],
        done: Callable[[Version], None],
        executor: Executor | None,
    ) -> None:
        self._host = host
        self._documents = documents
        self._prove = prove
        self._done = done
        self._line = Line(self._run, executor)

    def find(self, version: Version) -> BatchReport | None:
        """Return what was found out on this kind of host."""
        report = version.inspection.batch
        if report is not None and report.host == self._host:
            return report
        document = self._documents.get(self._key(version))
        if document is None:
            return None
        with suppress(KeyError, ValueError, TypeError):
            return BatchReport.from_json(document["report"])
        return None

    def want(self, version: Version) -> None:
        """Have a version tried when its turn comes, unless that has been done; blocks for a moment."""
        if not self._line.is_closed and self.find(version) is None:
            self._line.add(version)

    def _run(self, version: Version) -> None:
        log = structlog.get_logger().bind(model=version.model, version=version.number)
        try:
            if self.find(version) is None:  # no sibling has been quicker
                report = self._prove(version)
                self._documents.put(self._key(version), {"report": report.as_json()})
                log.info("batching_tried", found=report.level.value)
            self._done(version)
        except ServiceError as error:
            log.warning("batching_not_tried", code=error.code)
        except Exception:
            log.exception("batching_not_tried")  # rule 3

    def _key(self, version: Version) -> str:
        return f"{version.artifact.digest.hex}.{self._host}"
