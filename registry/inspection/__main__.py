"""The child that inspects, rehearses, prepares or strips a model.

It works in the folder of the files. Where it is a program of its own, its orders are one JSON argument, and it confines
itself before it imports any parser; where it is a fork, ``forerunner`` calls ``main``, and it confines itself before it
opens any file. It says what it finds on a pipe of its own, since libraries may write anything anywhere else.
"""

import importlib
import json
import mmap
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from registry.errors import InvalidArtifact
from registry.inspection.confinement import allow_probing, allow_threads, confine, forbid_processes, shut_in
from registry.inspection.host import runtime_name
from registry.inspection.limits import ChildLimits, WireLimits
from registry.inspection.report import Reporter


def main(orders: dict[str, Any], *, has_low_priority: bool = False) -> None:
    """Do as ordered by ``sandbox`` and report; ``has_low_priority`` is of ``confine``.

    Whoever runs models in children of its own names its program, which is given the same orders.
    """
    if "program" in orders:
        importlib.import_module(orders["program"]).main(orders, has_low_priority=has_low_priority)
        return
    confine(ChildLimits(**orders["limits"]), orders["parent_pid"], has_low_priority=has_low_priority)
    into = orders["into"]
    shut_in(read=[Path()], write=[] if into is None else [Path(into)])
    reporter = Reporter(orders["report"])
    graph = Path(orders["graph"])
    wire_limits = WireLimits(**orders["wire_limits"])
    if orders["examples"] is not None:
        _rehearse(graph, orders["examples"], orders["names"], reporter)
        return
    if orders.get("is_to_strip"):
        _strip(graph, Path(into), reporter)
        return
    if into is not None:
        _prepare(graph, Path(into), orders["memory_bytes"], wire_limits, reporter)
        return
    try:
        reporter.stage("scan")
        _scan(graph, orders["files"], wire_limits)
        reporter.stage("start")
        _inspect(graph, wire_limits, reporter)
    except InvalidArtifact as error:
        reporter.refused(error)
    except MemoryError:
        reporter.refused(InvalidArtifact("inspection_memory", "reading the model takes more memory than it may"))


def _rehearse(graph: Path, descriptor: int, names: list[str], reporter: Reporter) -> None:
    from registry.examples import Examples
    from registry.inspection.example_runs import rehearse
    from registry.inspection.watchdog import Watchdog

    watchdog = Watchdog()
    forbid_processes()
    reporter.stage("load")
    with open(descriptor, encoding="utf-8") as file:
        examples = Examples.read(file.read())
    try:
        rehearse(graph, examples, names, watchdog, reporter)
    except InvalidArtifact as error:
        reporter.refused(error)


def _strip(graph: Path, into: Path, reporter: Reporter) -> None:
    from registry.inspection.skeleton import write_skeleton

    forbid_processes()
    reporter.stage("strip")
    try:
        write_skeleton(graph, into)
    except InvalidArtifact as error:
        reporter.refused(error)
    except MemoryError:
        reporter.refused(InvalidArtifact("inspection_memory", "reading the model takes more memory than it may"))
    else:
        reporter.stripped()


def _scan(graph: Path, files: dict[str, int], limits: WireLimits) -> None:
    from registry.inspection.wire_scan import scan

    with graph.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        scan(data, files, limits)


def _inspect(graph: Path, limits: WireLimits, reporter: Reporter) -> None:
    from registry.inspection.graph import read_graph, read_meeting
    from registry.inspection.thread_obstacles import obstacle
    from registry.inspection.trial import Measurement, Trial
    from registry.inspection.watchdog import Watchdog
    from registry.records import Inspection

    watchdogs = [Watchdog() for _ in range(3)]
    forbid_processes(but_threads_later=True)
    reporter.stage("parse")
    facts = read_graph(graph, limits)

    def inspection(measured: Measurement) -> Inspection:
        return Inspection(
            signature=facts.signature,
            opset_imports=facts.opset_imports,
            producer=facts.producer,
            metadata=facts.metadata,
            runtime=runtime_name(),
            memory_bytes=measured.memory_bytes,
            load_seconds=measured.load_seconds,
            run_seconds=measured.run_seconds,
            is_bounded=facts.is_bounded,
        )

    def give_up() -> NoReturn:
        reporter.found(found)
        os._exit(0)

    reporter.stage("load")
    trial = Trial(graph, facts.signature)
    found = inspection(trial.loaded)
    allow_probing()
    reporter.stage("run")
    if any(spec.shape is None for spec in facts.signature.inputs):
        reporter.found(found)  # a crash on a rank that we made up is no refusal
    for measured in trial.measure(watchdogs[0], give_up):
        found = inspection(measured)
        reporter.found(found)
    found = replace(found, batch=trial.prove_rows(read_meeting(graph), watchdogs[1], give_up))
    reporter.found(found)
    allow_threads()
    why_not = obstacle(facts.operators, facts.signature, is_bounded=facts.is_bounded)
    reporter.found(replace(found, threads=trial.try_threads(why_not, watchdogs[2], give_up)))


def _prepare(graph: Path, into: Path, inspected_bytes: int, limits: WireLimits, reporter: Reporter) -> None:
    from registry.inspection.comparison import NotTheSame
    from registry.inspection.graph import read_graph
    from registry.inspection.preparation import prepare
    from registry.inspection.trial import one_line
    from registry.storage import Preparation

    reporter.stage("prepare")
    try:
        memory_bytes = prepare(graph, into, read_graph(graph, limits).signature, inspected_bytes)
    except NotTheSame as error:
        reporter.prepared(Preparation(reason=str(error), is_final=error.is_final))
    except Exception as error:  # noqa: BLE001 - the runtime raises its own classes and half a dozen of Python's
        said = one_line(str(error), Path.cwd(), into) or type(error).__name__
        reason = f"it cannot be prepared: {said}"  # the runtime says so, or the disk is full, or memory short
        reporter.prepared(Preparation(reason=reason, is_final=False))
    else:
        reporter.prepared(Preparation(memory_bytes=memory_bytes))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
