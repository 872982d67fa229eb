"""What a run found, for people."""

import re
from collections import defaultdict
from collections.abc import Mapping

from tests.conformance.run import Findings

_LONGEST = 400


def write_report(findings: Findings) -> str:
    """Return the counts, and the names of all that did not pass with the reason."""
    lines: list[str] = []
    lines += _grouped("not run by ONNX Runtime in process", findings.not_run)
    lines += _grouped("served as the runtime has it, though it is not the golden data", findings.off_golden)
    lines += _grouped(
        "random: only types and shapes compared", dict.fromkeys(findings.random, "differs from run to run")
    )
    lines += _grouped("REFUSED at registration", findings.refused)
    for wire in sorted({*findings.passed, *findings.failed, *findings.unspellable}):
        lines += _grouped(f"{wire}: no words for the type", findings.unspellable[wire], is_exact=True)
        lines += _grouped(f"{wire}: FAILED", findings.failed[wire])
    lines.append("")
    for wire in sorted({*findings.passed, *findings.failed, *findings.unspellable}):
        counts = len(findings.passed[wire]), len(findings.failed[wire]), len(findings.unspellable[wire])
        lines.append("{:<18} {:>5} passed {:>5} failed {:>5} not spellable".format(wire, *counts))
    rest = len(findings.not_run), len(findings.refused), len(findings.random), len(findings.off_golden)
    lines.append("{} not run in process, {} refused at registration, {} random, {} off the golden data".format(*rest))
    return "\n".join(lines)


def has_failed(findings: Findings) -> bool:
    """True if something of ours is wrong."""
    return bool(findings.refused) or any(findings.failed.values())


def _grouped(title: str, reasons: Mapping[str, str], *, is_exact: bool = False) -> list[str]:
    if not reasons:
        return []
    groups = defaultdict(list)
    for name, reason in reasons.items():
        groups[reason if is_exact else _general(reason)].append(name)
    lines = ["", f"{title}: {len(reasons)}"]
    for names in sorted(groups.values(), key=len, reverse=True):
        lines += [f"  {len(names)}: {reasons[names[0]][:_LONGEST]}", *(f"      {name}" for name in names)]
    return lines


def _general(reason: str) -> str:
    """Return a reason without the numbers and names in it, so that like ones stand together."""
    return re.sub(r"\d+|'[^']*'|\"[^\"]*\"|\[[^\]]*\]", "_", reason)[:120]
