"""Whether live answers notice a shadow: `make bench-shadow`.

1. One gateway with one worker on one core, the load on another. Two aliases of one version, asked in turns
   (``bench.in_turns``): `plain` has no shadow, `shaded` sends copies of all its requests to a version with one changed
   weight.
2. The 99th percentiles with the shadow may be 1.2 times those without.
3. The shadow must have compared something, and have found that the answers differ: else this run proves nothing.
"""

import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import onnx
from onnx import numpy_helper

from bench.contestants import Gateway
from bench.in_turns import Conditions, Sample, measure, print_rates, run
from bench.models import BenchModel
from bench.servers import Server, running
from examples import first_run

ALLOWED = 1.2


class Alias(Gateway):
    """The gateway, asked through one of the two aliases."""

    def __init__(self, model: BenchModel, alias: str) -> None:
        super().__init__(model)
        self.path = f"/models/{model.name}@{alias}/predict"


def measure_model(model: BenchModel, conditions: Conditions) -> tuple[list[Sample], dict[str, Any]]:
    """Return what was measured, and what the shadow has found."""
    plain, shaded = Alias(model, "plain"), Alias(model, "shaded")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-shadow-")))
        server = stack.enter_context(running(plain.start(folder, conditions.cores.server)))
        register(server, model, folder)
        samples = measure(((plain, server), (shaded, server)), conditions)
        _, found = first_run.ask(server.port, "GET", f"/registry/models/{model.name}/aliases/shaded/shadow")
    return samples, found


def register(server: Server, model: BenchModel, folder: Path) -> None:
    """Register the model and one with a changed weight, and point the aliases at the first."""
    other = folder / "changed.onnx"
    other.write_bytes(with_a_changed_weight(onnx.load(str(model.path))).SerializeToString())
    first = first_run.register(server.port, model.name, model.path, "for the benchmark")
    second = first_run.register(server.port, model.name, other, "one weight is another one")
    for alias, more in (("plain", ""), ("shaded", f', "shadow": {{"version": {second}, "percent": 100}}')):
        route = f"/registry/models/{model.name}/aliases/{alias}"
        status, answer = first_run.ask(server.port, "PUT", route, f'{{"version": {first}{more}}}'.encode())
        if status != 200:
            raise first_run.RefusedError(f"{alias} was refused: {answer}")


def with_a_changed_weight(model: onnx.ModelProto) -> onnx.ModelProto:
    """Change one number of the model, in place: of its first initializer, or of its first tree's leaves."""
    for tensor in model.graph.initializer:
        weights = numpy_helper.to_array(tensor).copy()
        if weights.dtype.kind == "f":
            weights.flat[0] += 0.25
            tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
            return model
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "class_weights":
                attribute.floats[0] += 0.25
                return model
    raise first_run.RefusedError("the model has no weight to change")


def report(model: BenchModel, samples: Sequence[Sample], found: dict[str, Any]) -> bool:
    """Print the table of one model and return whether all is as it should be."""
    is_met = print_rates(model, samples, ("without", "shadow"), lambda rate: rate.ratio <= ALLOWED)
    what = found["report"]
    differing = [output for output in what["outputs"] if output["same"] < output["compared"]]
    print(f"compared {what['compared']}, skipped {what['skipped']}, failed {sum(what['failures'].values())}")
    for output in differing:
        print(
            f"  {output['name']} differs: {output['max_difference']:.3g} at most, {output['mean_difference']:.3g} in "
            f"the mean, {output['changed']} of {output['rows']} rows decide otherwise"
        )
    print()
    return is_met and bool(what["compared"]) and bool(differing) and not what["failures"]


if __name__ == "__main__":
    sys.exit(run("python -m bench.shadow", __doc__.splitlines()[0], measure_model, report))
