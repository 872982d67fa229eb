"""Whether live answers notice that inputs are looked at: `make bench-inputs`.

1. Two gateways with one worker each on the same core, the load on another: one adds up what requests bring, one does
   not. Only one is asked at a time (``bench.in_turns``); the other's idle loops are part of both.
2. The 99th percentiles with it on may be 1.2 times those with it off, and answers must be 0.95 times as many.
3. What is on must have looked at requests, and tell numbers: else this run proves nothing.
"""

import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.contestants import Gateway
from bench.in_turns import Compared, Conditions, Sample, measure, print_rates, run
from bench.models import BenchModel
from bench.servers import Server, running
from examples import first_run

ALLOWED = 1.2
LEAST_ANSWERS = 0.95


class Switched(Gateway):
    """The gateway with the statistics of inputs on, or off."""

    def __init__(self, model: BenchModel, switch: str) -> None:
        super().__init__(model)
        self.name = f"statistics {switch}"
        self.switch = switch

    def _start(self, settings: dict[str, str], log: Path, core: int | None) -> Server:
        return super()._start({**settings, "SARDONYX_INPUT_STATISTICS": self.switch}, log, core)


def measure_model(model: BenchModel, conditions: Conditions) -> tuple[list[Sample], dict[str, Any]]:
    """Return what was measured, and what the gateway that looks at inputs tells."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-inputs-")))

        def begin(switch: str) -> tuple[Switched, Server]:
            contestant = Switched(model, switch)
            server = stack.enter_context(running(contestant.start(folder, conditions.cores.server)))
            contestant.prepare(server)
            return contestant, server

        off, on = begin("off"), begin("on")
        samples = measure((off, on), conditions)
        _, found = first_run.ask(on[1].port, "GET", f"/registry/models/{model.name}/versions/1/inputs")
    return samples, found


def report(model: BenchModel, samples: Sequence[Sample], found: dict[str, Any]) -> bool:
    """Print the table of one model and return whether all is as it should be."""
    is_met = print_rates(model, samples, ("off", "on"), is_good)
    (looked, *_) = found["inputs"]
    print(f"looked at {found['looked_at']}, skipped {found['skipped']}, summed up {looked['requests']}\n")
    return is_met and bool(looked["requests"])


def is_good(rate: Compared) -> bool:
    return rate.ratio <= ALLOWED and rate.share >= LEAST_ANSWERS


if __name__ == "__main__":
    sys.exit(run("python -m bench.input_statistics", __doc__.splitlines()[0], measure_model, report))
