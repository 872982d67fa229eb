"""The fuzzer is worth something only if it notices; and a moment of it, with a fixed seed, belongs to every run."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from registry.errors import InvalidRequest
from tests.fuzz.__main__ import main
from tests.fuzz.child import drawn_inputs
from tests.fuzz.run import fuzz, replay
from tests.fuzz.target import MIB, Made, Target
from tests.fuzz.targets import TARGETS

SEED = 20_261_128
SLOW = {"inspector": 6, "http": 40, "control": 40}
"""How many inputs of those that take long; of the others there are 100."""


@pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])
def test_a_moment_of_every_target_finds_nothing(target: Target, tmp_path: Path) -> None:
    count = SLOW.get(target.name, 100)
    result = fuzz(target, seed=SEED, folder=tmp_path, count=count)
    assert (result.tries, [str(finding) for finding in result.findings]) == (count, [])


def target_of(attempt: Callable[[bytes], None], **limits: float) -> Target:
    """A target whose inputs are two random bytes, and an ``attempt`` that does not like all of them."""
    made = Made(lambda random: random.randbytes(2), attempt)
    return Target(name="planted", make=lambda: made, **limits)  # type: ignore[arg-type]


def is_bad(octets: bytes) -> bool:
    return octets[0] < 32


def raise_wrongly(octets: bytes) -> None:
    if is_bad(octets):
        raise KeyError(octets)


def refuse(octets: bytes) -> None:
    if is_bad(octets):
        raise InvalidRequest("no")


def hang(octets: bytes) -> None:
    while is_bad(octets):
        pass


def wait(octets: bytes) -> None:
    if is_bad(octets):
        time.sleep(1000)  # it is killed


def die(octets: bytes) -> None:
    if is_bad(octets):
        os.kill(os.getpid(), signal.SIGSEGV)


def leave(octets: bytes) -> None:
    if is_bad(octets):
        os._exit(7)


def take_memory(octets: bytes) -> None:
    if is_bad(octets):
        bytearray(4096 * MIB)


def touch_memory(octets: bytes) -> None:
    if is_bad(octets):
        bytearray(b"x" * (64 * MIB))


def take_long(octets: bytes) -> None:
    until = time.process_time() + 0.3
    while is_bad(octets) and time.process_time() < until:
        pass


@pytest.mark.parametrize(
    ("attempt", "limits", "kind", "what"),
    [
        (raise_wrongly, {}, "error", "KeyError at test_fuzzing.py"),
        (hang, {"hang_seconds": 0.2}, "hang", "it does not end"),
        (wait, {"wall_seconds": 5}, "hang", "it stands still"),
        (die, {}, "death", "the process died of SIGSEGV"),
        (leave, {}, "death", "the process ended with 7"),
        (take_memory, {}, "memory", "it takes all memory"),
        (touch_memory, {"memory_bytes": 16 * MIB}, "memory", "it takes more memory than its size allows"),
        (take_long, {"cpu_seconds": 0.05}, "slow", "it takes longer than its size allows"),
    ],
    ids=["an error", "a hang", "a sleep", "a signal", "an exit", "all memory", "much memory", "much time"],
)
def test_what_goes_wrong_is_noticed_and_can_be_had_again(
    attempt: Callable[[bytes], None], limits: dict[str, float], kind: str, what: str, tmp_path: Path
) -> None:
    target = target_of(attempt, **limits)
    found = fuzz(target, seed=SEED, folder=tmp_path, count=12).findings
    again = replay(target, found[0].path, tmp_path).findings
    assert [(finding.said.kind, finding.said.what.startswith(what)) for finding in (*found, *again)] == [
        (kind, True),
        (kind, True),
    ]
    assert is_bad(found[0].path.read_bytes())


def test_one_death_does_not_hide_the_next_input(tmp_path: Path) -> None:
    result = fuzz(target_of(die), seed=SEED, folder=tmp_path, count=100)
    deaths = 1 + result.repeats
    assert (result.tries, result.taken + deaths, deaths > 1) == (100, 100, True)


def test_a_callers_error_is_no_finding(tmp_path: Path) -> None:
    result = fuzz(target_of(refuse), seed=SEED, folder=tmp_path, count=100)
    assert (result.tries, result.taken < 100, result.findings) == (100, True, [])


def test_a_run_ends_when_its_time_is_over(tmp_path: Path) -> None:
    result = fuzz(target_of(refuse), seed=SEED, folder=tmp_path, seconds=0.2)
    assert (result.tries > 1, result.findings) == (True, [])


@pytest.mark.parametrize("name", ["native", "rows", "open-inference", "grpc", "npz", "scan", "paths"])
def test_the_same_seed_gives_the_same_inputs(name: str) -> None:
    (target,) = (target for target in TARGETS if target.name == name)
    made = target.make()
    first, second = (list(drawn_inputs(made, target=name, seed=SEED, begin=begin, end=30)) for begin in (0, 10))
    assert first[10:] == second
    assert first == list(drawn_inputs(target.make(), target=name, seed=SEED, begin=0, end=30))


def test_the_command_says_its_seed_and_how_to_have_a_finding_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = target_of(raise_wrongly)
    code = main(["--seed", "5", "--count", "50", "--findings", str(tmp_path)], [target])
    (path,) = tmp_path.iterdir()
    said = capfd.readouterr().out.splitlines()
    assert (code, said[0]) == (1, f"seed 5, 50 inputs a target; findings go to {tmp_path}")
    assert said[1].startswith("planted              50 inputs, ")
    assert (f"  again: python -m tests.fuzz --replay {path}", said[-1]) == (said[-4], "seed 5: 50 inputs")
    assert main(["--replay", str(path)], [target]) == 1


def test_the_command_ends_well_where_nothing_is_found(tmp_path: Path) -> None:
    assert main(["--seed", "5", "--count", "50", "--findings", str(tmp_path)], [target_of(refuse)]) == 0
