import pytest

from bench.chaos_answers import Timeline
from bench.chaos_history import Attempt, Row
from bench.replicas_judgement import KILLED, WITHOUT_DATABASE, Attribution, Verdict, judge_answers, judge_phases
from bench.replicas_load import Asked
from bench.replicas_network import gateway_host
from bench.replicas_phases import Phase, Window
from gateway.placement.keys import key_of
from gateway.placement.ring import Ring, Server

GATEWAYS = [gateway_host(number) for number in (1, 2, 3)]
RING = Ring([Server(name=host.name, id=host.number) for host in GATEWAYS])
MODELS = [f"model-{number}" for number in range(30)]
NOBODY = Attribution({}, frozenset(), GATEWAYS)


def owner_of(model: str, down: frozenset[str] = frozenset()) -> str:
    return Ring(RING.servers, down=down).owner(key_of(model, "")).name


def phase(name: str = KILLED, *, down: frozenset[str] = frozenset(), victim: str = "gateway1") -> Phase:
    windows = [Window(0, 10, frozenset()), Window(12, 20, down), Window(22, 30, frozenset())]
    return Phase(name=name, victim=victim, begin=0, fault_at=11, mended_at=21, end=31, windows=windows)


def failed(sent_at: float, ended_at: float, fault: str = "no answer: EOFError") -> Asked:
    return Asked("load-0", "model-0", sent_at, ended_at, 0, fault)


def answered_as(owners: dict[float, dict[str, str]]) -> tuple[list[Asked], Attribution]:
    """Return three answers of each model at each of some moments, by who is said to have answered."""
    asked, answered = [], dict[str, set[str]]()
    for at, by_model in owners.items():
        for model, gateway in by_model.items():
            for turn in range(3):
                name = f"{model} {at} {turn}"
                asked.append(Asked(name, model, at, at + 0.1, 1, ""))
                answered.setdefault(gateway, set()).add(name)
    return asked, Attribution({key: frozenset(names) for key, names in answered.items()}, frozenset(), GATEWAYS)


@pytest.mark.parametrize(
    ("one", "is_allowed"),
    [
        pytest.param(failed(10.9, 11.1), True, id="under-way-when-it-was-killed"),
        pytest.param(failed(11.1, 11.2), False, id="sent-afterwards"),
        pytest.param(failed(10.0, 10.9), False, id="over-before"),
        pytest.param(failed(10.9, 11.1, "WRONG: it answered 7"), False, id="a-wrong-answer"),
    ],
)
def test_only_what_was_under_way_in_a_killed_gateway_may_fail(one: Asked, *, is_allowed: bool) -> None:
    (verdict,) = judge_phases([phase()], [one], NOBODY)
    assert (verdict.in_flight, sum(verdict.failures.values())) == ((1, 0) if is_allowed else (0, 1))


def test_nothing_may_fail_where_a_gateway_is_drained() -> None:
    (verdict,) = judge_phases([phase("drained")], [failed(10.9, 11.1)], NOBODY)
    assert (verdict.in_flight, dict(verdict.failures)) == (0, {"no answer: EOFError": 1})


def test_a_ring_that_moves_its_share_alone_is_right() -> None:
    down = frozenset({"gateway1"})
    usual, without = ({model: owner_of(model, of) for model in MODELS} for of in (frozenset[str](), down))
    asked, attribution = answered_as({1: usual, 13: without, 23: usual})
    (verdict,) = judge_phases([phase(down=down)], asked, attribution)
    share = sum(owner == "gateway1" for owner in usual.values())
    assert (verdict.moved, verdict.models, verdict.strayed) == ([share, 0], len(MODELS), [])


def test_a_model_that_moves_without_need_has_strayed() -> None:
    usual = {model: owner_of(model) for model in MODELS}
    mine = next(model for model, owner in usual.items() if owner == "gateway2")
    asked, attribution = answered_as({1: usual, 13: usual | {mine: "gateway3"}, 23: usual})
    (verdict,) = judge_phases([phase()], asked, attribution)
    assert verdict.strayed == [
        f"{mine} with gateway3, not gateway2",
        f"{mine} went from gateway2 to gateway3",
    ]


def test_the_models_of_a_gateway_that_hangs_may_lie_with_the_next_one_on_the_ring() -> None:
    usual = {model: owner_of(model) for model in MODELS}
    mine = next(model for model, owner in usual.items() if owner == "gateway1")
    following = RING.owners(key_of(mine, ""), 2)[1].name
    asked, attribution = answered_as({1: usual, 13: usual | {mine: following}, 23: usual})
    (verdict,) = judge_phases([phase()], asked, attribution)
    assert (verdict.moved, verdict.passed_over, verdict.strayed) == ([1, 0], 1, [])


def moved_at(asked_at: float, known_at: float) -> Timeline:
    """Return the story of a model that was at version 1, and is promoted to 2."""
    rows = [
        Row(id=1, kind="promote", from_version=None, to_version=1, reason="", at=""),
        Row(id=2, kind="promote", from_version=1, to_version=2, reason="on", at=""),
    ]
    attempt = Attempt(reason="on", kind="promote", target=2, asked_at=asked_at, known_at=known_at, row=rows[1])
    return Timeline(rows, [attempt])


@pytest.mark.parametrize(("name", "wrong_count"), [(WITHOUT_DATABASE, 0), (KILLED, 1)])
def test_a_gateway_without_the_database_may_go_on_with_what_it_knew(name: str, wrong_count: int) -> None:
    verdict = Verdict(phase=phase(name))
    answer = Asked("load-0", "model-0", 22.4, 22.5, 1, "")
    wrong = list(judge_answers([verdict], "model-0", [answer], moved_at(11.5, 12.0)))
    assert (verdict.old, verdict.latest_seconds, len(wrong)) == (1, 10.5, wrong_count)
