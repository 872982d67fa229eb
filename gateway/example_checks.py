"""Whether versions give on this host what their golden examples say.

1. A version with examples is rehearsed, in a child process, before it is loaded on a host for the first time: what adds
   up on one processor need not on another. One that fails does not load.
2. What has passed, here or for a promotion on this host, is noted in a folder that all workers of the host share, by
   the bytes, the examples and the kind of host.
3. What cannot be told now (the registry does not answer, other children take all turns) is not waited for: the version
   is loaded all the same, the log says so, and the next load asks again.
"""

from collections.abc import Callable

import structlog

from gateway.serving.routes import Documents
from registry.errors import LoadFailed, RehearsalFailed, ServiceError
from registry.records import Version


class ExampleChecks:
    """What has passed on this host; safe for threads.

    Args:
        host: ``registry.inspection.host.host_key``.
        documents: rule 2.
    """

    def __init__(self, host: str, documents: Documents) -> None:
        self._host = host
        self._documents = documents

    def is_due(self, version: Version) -> bool:
        """Return whether the version has examples that it has not been held against here; looks at the disk."""
        return version.examples is not None and self._documents.get(self._key(version)) is None

    def note(self, version: Version) -> None:
        """Take note that the version has passed."""
        if version.examples is not None:
            self._documents.put(self._key(version), {"count": version.examples.count})

    def check(self, version: Version, rehearse: Callable[[Version], None]) -> None:
        """Rehearse a version that is due, which notes it if it passes; blocks.

        Raises:
            LoadFailed: it does not give what its examples say, or does not load.
        """
        try:
            rehearse(version)
        except RehearsalFailed as error:
            raise LoadFailed(error.detail) from error
        except ServiceError as error:
            structlog.get_logger().warning(
                "examples_not_checked", model=version.model, version=version.number, code=error.code
            )

    def _key(self, version: Version) -> str:
        digest = "" if version.examples is None else version.examples.digest
        return f"examples.{version.artifact.digest.hex}.{digest}.{self._host}"
