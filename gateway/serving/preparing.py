"""Having models prepared in the background, so that their next loads are quick and share their weights.

1. A model that was registered here, or loaded plainly, is prepared: one at a time in each worker, in a child of low
   priority. Nobody waits for it; until it is there, loads are plain.
2. What loads in a wink and takes little is left alone: there is nothing to win.
3. What fails is logged and harms nobody. What can be tried again is tried after the next plain load.
"""

from collections.abc import Callable
from concurrent.futures import Executor

import structlog

from gateway.serving.line import Line
from registry.errors import ServiceError
from registry.records import Version
from registry.storage import Preparation

_SMALL_BYTES = 1024 * 1024
_SHORT_SECONDS = 0.02


def is_worth_preparing(version: Version) -> bool:
    """Tell whether there is anything to win (rule 2)."""
    inspection = version.inspection
    return inspection.memory_bytes >= _SMALL_BYTES or inspection.load_seconds >= _SHORT_SECONDS


class Preparing:
    """A line of versions to be prepared; safe for threads.

    Args:
        prepare: makes the prepared form, if there is none yet (then it returns None); blocks.
        done: told in that thread of each version that has been prepared.
        executor: where both are called: one thread. None prepares nothing.
    """

    def __init__(
        self,
        prepare: Callable[[Version], Preparation | None],
        done: Callable[[Version], None],
        executor: Executor | None,
    ) -> None:
        self._prepare = prepare
        self._done = done
        self._line = Line(self._run, executor)
        self.done_count = 0
        """How many have been prepared here."""
        self.failure_count = 0
        """How many could not be, for the moment or for good."""

    def want(self, version: Version) -> None:
        """Have a version prepared when its turn comes, if that is worth while."""
        if is_worth_preparing(version):
            self._line.add(version)

    def _run(self, version: Version) -> None:
        log = structlog.get_logger().bind(model=version.model, version=version.number)
        try:
            preparation = self._prepare(version)
        except ServiceError as error:
            self.failure_count += 1
            log.warning("not_prepared_now", code=error.code)
        except Exception:
            self.failure_count += 1
            log.exception("not_prepared_now")  # rule 3
        else:
            if preparation is not None and preparation.memory_bytes is None:
                self.failure_count += 1
                log.warning("not_prepared", reason=preparation.reason)
            elif preparation is not None:
                self.done_count += 1
                log.info("prepared", memory_bytes=preparation.memory_bytes)
                self._done(version)
