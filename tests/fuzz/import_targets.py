"""What the command line reads of others: configurations, MLflow's descriptions, metrics, graphs."""

from collections.abc import Callable, Sequence
from random import Random

from gateway.cli.graph_ops import count_operators
from gateway.cli.imports import Unreadable
from gateway.cli.mlmodel import facts, graph_name, read_mlmodel
from gateway.cli.scrapes import read_scrape, traffic
from gateway.cli.text_format import NotTextFormat, read_text_format
from gateway.metrics import Metrics
from tests.fuzz.mutation import mutate
from tests.fuzz.target import BrokenPromiseError, Made, Target
from tests.support.scaling import scaling_bytes

_CONFIG = b"""
name: "dense" 'net' # a comment
max_batch_size: 8
input [ { name: "x\\303\\251", dims: [ -1, 3 ] }, { name: 'y' dims: 1 reshape { shape: [ ] } } ]
instance_group < kind: KIND_CPU >
version_policy: { specific { versions: [1,3] } }
"""
_CONFIG_TOKENS = (b"{", b"}", b"[", b"]", b"<", b">", b":", b",", b'"', b"'", b"\\", b"\\U7fffffff", b"#", b"a{" * 40)

_MLMODEL = b"""flavors:
  onnx:
    code: null
    data: model.onnx
    providers:
    - CPUExecutionProvider
run_id: 'a''b'
signature:
  inputs: '[{"type": "tensor",
    "name": "x: 1"}]'
"""
_MLMODEL_TOKENS = (b":", b": ", b"\n", b"  ", b"'", b"onnx:", b"data: ../x", b"\t", b"- ")


def _metrics() -> bytes:
    metrics = Metrics()
    metrics.of_version('a"b\\c\n', 3).add("ok", 0.01, count=7)
    return metrics.render()


def _changed(octets: bytes, tokens: Sequence[bytes]) -> Callable[[Random], bytes]:
    return lambda random: mutate(random, octets, tokens)


def read_config(octets: bytes) -> None:
    """A configuration is read, or refused."""
    read_text_format(octets.decode("utf-8", "replace"))


def read_description(octets: bytes) -> None:
    """A graph's name is a name without a path, or there is none."""
    found = read_mlmodel(octets.decode("utf-8", "replace"))
    facts(found)
    if "/" in graph_name(found):
        raise BrokenPromiseError("a graph's name is a path")


def read_metrics(octets: bytes) -> None:
    """Whatever the text is, it is read, and nothing has been answered a negative number of times."""
    found = read_scrape(octets.decode("utf-8", "replace"))
    if any(one.answers <= 0 for one in traffic(None, found)):
        raise BrokenPromiseError("less than nothing was answered")


def read_graph(octets: bytes) -> None:
    """Operators are counted, or it is no graph."""
    counts = count_operators(octets)
    if counts is not None and any(count < 1 for count in counts.values()):
        raise BrokenPromiseError("an operator stands nowhere")


TARGETS = (
    Target(
        name="text format",
        make=lambda: Made(_changed(_CONFIG, _CONFIG_TOKENS), read_config),
        allowed=(NotTextFormat,),
        share=0.5,
    ),
    Target(
        name="mlmodel",
        make=lambda: Made(_changed(_MLMODEL, _MLMODEL_TOKENS), read_description),
        allowed=(Unreadable,),
        share=0.5,
    ),
    Target(
        name="metrics",
        make=lambda: Made(_changed(_metrics(), (b"{", b"}", b'"', b"NaN", b"+Inf", b"-1", b"le=")), read_metrics),
        allowed=(),
        share=0.5,
    ),
    Target(name="operators", make=lambda: Made(_changed(scaling_bytes(2), ()), read_graph), allowed=(), share=0.5),
)
