"""``python -m tests.conformance``: the whole set, or what a part of the names matches, through a real gateway."""

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path
from time import monotonic

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # noqa: TID251 - written for the runtime, not read by us

from tests.conformance.cases import load_cases
from tests.conformance.gateway import gateway_with_wires
from tests.conformance.report import has_failed, write_report
from tests.conformance.run import Findings, register, run_in_process, run_over_wires


def main() -> int:
    """Run it, print what was found, and return 1 if anything of ours failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="run the cases whose names match this expression")
    parser.add_argument("--every", type=int, default=1, help="run only each n-th of them")
    options = parser.parse_args()
    findings, began = Findings(), monotonic()
    cases = [case for case in load_cases() if re.search(options.only, case.name)][:: options.every]
    expected = run_in_process(cases, findings)
    _say(f"{len(expected)} of {len(cases)} cases run in process", began)
    with (
        tempfile.TemporaryDirectory() as folder,
        gateway_with_wires(Path(folder) / "data") as (client, wires),
    ):
        accepted = register(client, expected, findings)
        _say(f"{len(accepted)} models registered", began)
        run_over_wires(wires, accepted, findings)
    _say("all answers compared", began)
    sys.stdout.write(write_report(findings) + "\n")
    return int(has_failed(findings))


def _say(text: str, began: float) -> None:
    sys.stderr.write(f"{monotonic() - began:6.1f} s  {text}\n")


if __name__ == "__main__":
    sys.exit(main())
