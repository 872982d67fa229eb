"""Bytes that strangers might send, made up for a while, at everything that reads them.

    make fuzz                                                   ten minutes
    make fuzz ARGS="--seconds 60 --seed 7 --only native scan"
    .venv/bin/python -m tests.fuzz --replay FINDING             one input once more

Ends with 1 if anything was found: an error that is not the caller's, a process that died or hung, an input that took
more time or memory than its size allows, or two parses that disagree.
"""

import argparse
import secrets
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.run import Result, fuzz, replay
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS


def main(arguments: Sequence[str] | None = None, targets: Sequence[Target] = TARGETS) -> int:
    """Return 0 if nothing was found."""
    names = [target.name for target in targets]
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=600.0, help="for all targets together")
    parser.add_argument("--count", type=int, help="inputs of each target, whatever time that takes")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="TARGET", help=", ".join(names))
    parser.add_argument("--findings", type=Path, help="the folder for the inputs of findings")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="an input that was kept")
    asked = parser.parse_args(arguments)
    folder = asked.findings or Path(tempfile.mkdtemp(prefix="fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    if asked.replay is not None:
        target = next(target for target in targets if asked.replay.name.startswith(f"{target.name}-"))
        return _tell([replay(target, asked.replay, folder)])
    chosen = [target for target in targets if target.name in asked.only]
    seconds = None if asked.count is not None else asked.seconds
    said = f"seed {asked.seed}, " + (f"{asked.count} inputs a target" if seconds is None else f"{seconds:g} seconds")
    print(f"{said}; findings go to {folder}", flush=True)
    results = [_fuzz(target, chosen, asked.seed, folder, seconds, asked.count) for target in chosen]
    code = _tell(results)
    print(f"seed {asked.seed}: {sum(result.tries for result in results)} inputs", flush=True)
    return code


def _fuzz(
    target: Target, chosen: Sequence[Target], seed: int, folder: Path, seconds: float | None, count: int | None
) -> Result:
    share = target.share / sum(one.share for one in chosen)
    own = None if seconds is None else seconds * share
    result = fuzz(target, seed=seed, folder=folder, seconds=own, count=count)
    print(result, flush=True)
    return result


def _tell(results: Sequence[Result]) -> int:
    findings = [finding for result in results for finding in result.findings]
    for finding in findings:
        print(f"\n{finding}", flush=True)
    print(f"\n{len(findings)} findings", flush=True)
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main())
