"""Running golden examples in the inspection child.

1. The model is loaded as a worker loads it and run on what its examples say, one after the other, and nothing else:
   that it is a model, and what it takes, was found out when it was inspected.
2. Where their rows may share runs, by a proof with made-up rows, they are run together as well: a level that this
   contradicts does not hold.
3. A run that does not end is terminated; if it cannot be, the child says so and gives up.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from registry.batching import Level
from registry.errors import InvalidArtifact
from registry.examples import Example, Examples, check_all
from registry.inspection.batch_proof import challenge
from registry.inspection.batch_rows import rows_of_examples
from registry.inspection.report import Reporter
from registry.inspection.trial import Runs
from registry.inspection.watchdog import Watchdog

RUNNING_SECONDS: Final = 20.0
"""For all examples together."""

_SHARING_SECONDS: Final = 3.0
"""Of them, for running their rows together."""


def rehearse(graph: Path, examples: Examples, names: Sequence[str], watchdog: Watchdog, reporter: Reporter) -> None:
    """Load the model, run its examples and report what is wrong with the answers.

    Args:
        graph: the model.
        examples: what is run.
        names: of the inputs whose rows may share runs; empty where they may not.
        watchdog: not armed yet.
        reporter: where the result goes.

    Raises:
        InvalidArtifact: it does not load.
    """
    runs = Runs(graph)
    reporter.stage("examples")

    def answer(example: Example) -> Mapping[str, Any]:
        return runs.answer(list(example.outputs), example.inputs)

    def give_up() -> NoReturn:
        reporter.refused(InvalidArtifact("inspection_timeout", "the model took too much time on its examples"))
        os._exit(0)

    with watchdog.armed(RUNNING_SECONDS, runs.terminate, give_up):
        faults = check_all(examples.items, answer)
        rows = rows_of_examples([example.inputs for example in examples.items], names) if names else []
        level = challenge(runs.try_all, rows, _SHARING_SECONDS) if rows else Level.EXACT
    reporter.rehearsed(faults, level)
