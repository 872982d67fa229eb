"""ONNX files: the scan of their bytes, the reading of their graphs, and a whole inspection in its child."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from registry.errors import InvalidArtifact
from registry.inspection.graph import read_graph, read_meeting
from registry.inspection.sandbox import SandboxedInspector
from registry.inspection.wire_scan import scan
from tests.conformance.cases import load_cases
from tests.fuzz import messages
from tests.fuzz.mutation import mutate
from tests.fuzz.target import MIB, BrokenPromiseError, Made, Target
from tests.support import model_kinds, models
from tests.support.inspecting import inspect_files

_DATA = {"model.onnx.data": 64}
_MOST_SEED_BYTES = 32 * 1024
_CONFORMANCE = 200
"""Of its models, spread over all: each has an operator or two of its own."""


@lru_cache(maxsize=1)
def corpus() -> tuple[bytes, ...]:
    """Return small models: honest ones, hostile ones, and some of ONNX's conformance set."""
    made = [
        *(models.linear(), models.deep_conv(2, 4), models.identity(), models.two_inputs_one_symbol()),
        *(models.optional_bias(), models.string_twice(), models.loop(trips=2), models.loop(trips=2, collects=True)),
        *(models.calls(3), models.calls(30), models.recursion(), models.nested_ifs(3), models.nested_ifs(15)),
        *(models.tree(5), models.scalar_scale(), models.secretly_mixing(), models.expanded_to_request()),
        *(models.folded_doubling(3), models.division(3), models.folded_division()),
        *(make() for make in (*model_kinds.KINDS.values(), *model_kinds.OPTIONAL.values())),
    ]
    octets = [one.SerializeToString() for one in made] + [models.with_external_data(models.linear())[0]]
    return tuple(one for one in (*octets, *_conformance()) if len(one) <= _MOST_SEED_BYTES)


def _conformance() -> list[bytes]:
    paths = sorted(case.path for case in load_cases())
    return [path.read_bytes() for path in paths[:: max(len(paths) // _CONFORMANCE, 1)]]


def _draw_model(random: Random) -> bytes:
    seeds = corpus()
    octets = random.choice(seeds)
    for _ in range(random.choice((0, 1, 1, 1, 2, 3))):
        octets = messages.change(random, octets, seeds)
    return mutate(random, octets, donors=seeds) if random.random() < 0.15 else octets


def make_scan() -> Made:
    """The first code that sees a file."""
    corpus()
    return Made(_draw_model, lambda octets: scan(octets, _DATA))


def make_graph() -> Made:
    """The graph of what the scan lets pass, read by ONNX's own library."""
    corpus()
    folder = TemporaryDirectory()
    path = Path(folder.name) / "model.onnx"

    def attempt(octets: bytes) -> None:
        scan(octets, _DATA)
        path.write_bytes(octets)
        signature = read_graph(path).signature
        read_meeting(path)
        str(signature)

    return Made(_draw_model, attempt, folder.cleanup)


def make_inspector() -> Made:
    """A whole inspection; what kills its child is refused, and a child that ends in an error of ours is a finding."""
    corpus()
    inspector = SandboxedInspector()

    def attempt(octets: bytes) -> None:
        with TemporaryDirectory() as folder:
            try:
                inspect_files(Path(folder), _files(octets), inspector)
            except InvalidArtifact as error:
                if "exit status" in error.detail:
                    raise BrokenPromiseError(error.detail) from error
                raise

    return Made(_draw_model, attempt, inspector.close)


def _files(octets: bytes) -> Mapping[str, bytes]:
    return {"model.onnx": octets}


TARGETS = (
    Target(name="scan", make=make_scan, share=2, memory_bytes_per_byte=40),
    Target(name="graph", make=make_graph, share=1.5, memory_bytes=128 * MIB),
    Target(name="inspector", make=make_inspector, share=3, wall_seconds=150.0),
)
