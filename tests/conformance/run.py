"""The run: every case in process, then over every wire, and what became of each."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import numpy as np

from tests.conformance.cases import Case
from tests.conformance.reference import Reference
from tests.conformance.values import Value, arrays_in, difference, is_floating
from tests.conformance.wires import RefusedError, Wire, unspellable
from tests.support.uploads import send

_AT_ONCE = 2


_REPEATS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What ONNX Runtime itself makes of a case."""

    case: Case
    outputs: dict[str, Value]
    is_random: bool
    """True if the same model on the same inputs gives other numbers each time: only types and shapes are compared."""
    off_golden: str | None
    """How the outputs differ from the golden data by more than the tolerances; None if they do not."""

    @property
    def model(self) -> str:
        """The name that the gateway knows it by."""
        return self.case.name.lower()

    @property
    def values(self) -> list[Value]:
        """All that travels."""
        return [*self.case.inputs.values(), *self.outputs.values()]


@dataclass(slots=True)
class Findings:
    """What became of the cases: names, by reason where there is one."""

    not_run: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    random: list[str] = field(default_factory=list)
    off_golden: dict[str, str] = field(default_factory=dict)
    passed: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    failed: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    unspellable: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))


def run_in_process(cases: Iterable[Case], findings: Findings) -> list[Expected]:
    """Return what ONNX Runtime makes of those cases that it runs, and note the others."""
    expected = []
    for case in cases:
        try:
            expected.append(expect(case))
        except Exception as error:  # noqa: BLE001 - the runtime's errors have no common class
            findings.not_run[case.name] = f"{type(error).__name__}: {' '.join(str(error).split())}"
    findings.random = [item.case.name for item in expected if item.is_random]
    findings.off_golden = {item.case.name: item.off_golden for item in expected if item.off_golden}
    return expected


def expect(case: Case) -> Expected:
    """Run a case in this process: often in one session, whose generators may go on from run to run, once in another."""
    reference = Reference(case.path)
    outputs = reference.run(case.inputs)
    others = [*(reference.run(case.inputs) for _ in range(_REPEATS)), Reference(case.path).run(case.inputs)]
    is_random = any(difference(outputs[name], again[name]) for again in others for name in outputs)
    off_golden = None if is_random else _off_golden(case, outputs)
    return Expected(case=case, outputs=outputs, is_random=is_random, off_golden=off_golden)


def _off_golden(case: Case, outputs: Mapping[str, Value]) -> str | None:
    for name, golden in case.golden.items():
        ours, theirs = list(arrays_in(outputs[name])), list(arrays_in(golden))
        if [array.shape for array in ours] != [array.shape for array in theirs]:
            return f"{name}: shapes differ"
        for our, their in zip(ours, theirs, strict=True):
            if not is_floating(our):
                if difference(their, our):
                    return f"{difference(their, our, where=name)}"
            elif not np.allclose(
                our.astype(np.float64), their.astype(np.float64), case.rtol, case.atol, equal_nan=True
            ):
                return f"{name}: {our.dtype.name} beyond the tolerances"
    return None


def register(client: httpx.Client, expected: Sequence[Expected], findings: Findings) -> list[Expected]:
    """Register every model, two at once, and return the cases whose models were accepted."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        refusals = list(pool.map(lambda item: _register(client, item), expected))
    for item, refusal in zip(expected, refusals, strict=True):
        if refusal is not None:
            findings.refused[item.case.name] = refusal
    return [item for item, refusal in zip(expected, refusals, strict=True) if refusal is None]


def _register(client: httpx.Client, item: Expected) -> str | None:
    answer = send(client, item.model, item.case.path.read_bytes())
    if answer.status_code in {200, 201}:
        return None
    problem = answer.json()
    return f"{answer.status_code} {problem.get('code')}: {problem.get('detail')}"


def run_over_wires(wires: Sequence[Wire], expected: Sequence[Expected], findings: Findings) -> None:
    """Ask for every case over every wire that can spell it."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        verdicts = list(pool.map(lambda item: [judge(wire, item) for wire in wires], expected))
    for item, found in zip(expected, verdicts, strict=True):
        for wire, (lacking, failure) in zip(wires, found, strict=True):
            if lacking:
                findings.unspellable[wire.name][item.case.name] = lacking
            elif failure:
                findings.failed[wire.name][item.case.name] = failure
            else:
                findings.passed[wire.name].append(item.case.name)


def judge(wire: Wire, item: Expected) -> tuple[str | None, str | None]:
    """Return what a wire cannot spell of a case, or how its answer is wrong; (None, None) if it is right."""
    lacking = unspellable(wire, item.values)
    if lacking:
        return ", ".join(sorted(lacking)), None
    try:
        received = wire.predict(item.model, item.case.inputs, item.outputs)
    except (RefusedError, httpx.HTTPError, KeyError, TypeError, ValueError) as error:
        return None, f"{type(error).__name__}: {error}"
    if item.is_random:
        same = _outlines(item.outputs) == _outlines(received)
        return None, None if same else f"{_outlines(item.outputs)} came as {_outlines(received)}"
    found = (
        difference(value, received.get(name), one_nan=wire.one_nan, where=name) for name, value in item.outputs.items()
    )
    return None, next((text for text in found if text), None)


def _outlines(outputs: Mapping[str, Value]) -> dict[str, list[tuple[str, tuple[int, ...]]]]:
    return {name: [(array.dtype.name, array.shape) for array in arrays_in(value)] for name, value in outputs.items()}
