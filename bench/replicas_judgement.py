"""What became of the requests of each phase, and who answered them.

1. A request may fail only if it was under way when its gateway was killed, and it did not end before that.
2. An answer has to be of a version that was live at some instant between its sending and its receipt. A gateway that is
   cut off from the database cannot hear of moves; its old answers are counted, and are wrong by the rules of
   ``bench.chaos_answers``.
3. A model belongs to the gateway that answered most requests for it in a window. That has to be the one that the ring
   of the gateways that are up says (``gateway.placement.ring``); and from one window to the next those models have
   moved that a gateway which is down had, or one that is up has got, and no others.
4. Bounded load passes over a gateway that has too many requests under way: with few requests in all, one that hangs
   there is enough. The models of a gateway that something is done to may lie with the next one on the ring; they are
   counted.
"""

import collections
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.chaos_answers import Answers, Outages, Timeline, judge
from bench.replicas_load import Asked
from bench.replicas_network import Host
from bench.replicas_phases import CUT_OFF, Phase, Window
from gateway.placement.keys import key_of_path
from gateway.placement.ring import Ring, Server

KILLED = "killed"
WITHOUT_DATABASE = f"{CUT_OFF} the database"
LEAST_ANSWERS = 3
"""Of a model in a window, for it to be told whose it is."""


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What one phase has come to."""

    phase: Phase
    requests: int = 0
    in_flight: int = 0
    """That failed, and were under way when their gateway was killed."""
    failures: collections.Counter[str] = field(default_factory=collections.Counter)
    elsewhere: int = 0
    """Answers of requests that another gateway had refused first."""
    slowest_seconds: float = 0.0
    old: int = 0
    latest_seconds: float = 0.0
    """How long the last old answer came after the move was known."""
    moved: list[int] = field(default_factory=list)
    """How many models were another gateway's during the fault than before it, and after it than before it."""
    passed_over: int = 0
    """Models that lay with the next one on the ring in some window (rule 4)."""
    strayed: list[str] = field(default_factory=list)
    """Models that moved, or lay, where the ring does not say."""
    models: int = 0


class Attribution:
    """Whose each model was, by the ids of the requests that each gateway's log has.

    Args:
        answered: by gateway, the ids of the requests that it answered well.
        refused: ids of those that some gateway refused.
        gateways: all that the proxy knows.
    """

    def __init__(
        self, answered: Mapping[str, frozenset[str]], refused: frozenset[str], gateways: Sequence[Host]
    ) -> None:
        self.refused = refused
        self._who = {name: gateway for gateway, names in answered.items() for name in names}
        self._servers = [Server(name=host.name, id=host.number) for host in gateways]

    def owners(self, asked: Sequence[Asked], window: Window) -> dict[str, str]:
        """Return whose each model was in a window, as far as its answers tell."""
        counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        for one in asked:
            if window.begin <= one.sent_at and one.ended_at <= window.end and one.id in self._who:
                counts[one.model][self._who[one.id]] += 1
        return {model: count.most_common(1)[0][0] for model, count in counts.items() if count.total() >= LEAST_ANSWERS}

    def expected(self, models: Sequence[str], window: Window) -> dict[str, tuple[str, str]]:
        """Return whose the ring says that they are, and whose if that one is passed over."""
        ring = Ring(self._servers, down=window.down)
        keys = {model: key_of_path(f"/models/{model}/predict") or "" for model in models}
        found = {model: ring.owners(key, 2) for model, key in keys.items()}
        return {model: (owners[0].name, owners[-1].name) for model, owners in found.items()}


def judge_phases(phases: Sequence[Phase], asked: Sequence[Asked], attribution: Attribution) -> list[Verdict]:
    """Judge by rules 1, 3 and 4."""
    verdicts = [Verdict(phase=phase) for phase in phases]
    for verdict in verdicts:
        for one in asked:
            if verdict.phase.begin <= one.sent_at < verdict.phase.end:
                _count(verdict, one)
                verdict.elsewhere += not one.fault and one.id in attribution.refused
        _place(verdict, asked, attribution)
    return verdicts


def _place(verdict: Verdict, asked: Sequence[Asked], attribution: Attribution) -> None:
    """See where the models lay in the windows of a phase."""
    windows, victim = verdict.phase.windows, verdict.phase.victim
    owners = [attribution.owners(asked, window) for window in windows]
    before = owners[0]
    verdict.models = len(before)
    for window, found in zip(windows, owners, strict=True):
        wanted = attribution.expected(list(found), window)
        for model, gateway in found.items():
            owner, following = wanted[model]
            if gateway == following != owner == victim:
                verdict.passed_over += 1
            elif gateway != owner:
                verdict.strayed.append(f"{model} with {gateway}, not {owner}")
    for found in owners[1:]:
        changed = [model for model in found if before.get(model, found[model]) != found[model]]
        verdict.moved.append(len(changed))
        verdict.strayed += [
            f"{model} went from {before[model]} to {found[model]}"
            for model in changed
            if victim not in (before[model], found[model])
        ]


def _count(verdict: Verdict, one: Asked) -> None:
    verdict.requests += 1
    verdict.slowest_seconds = max(verdict.slowest_seconds, one.ended_at - one.sent_at)
    phase = verdict.phase
    if not one.fault:
        return
    if phase.name == KILLED and one.sent_at <= phase.fault_at <= one.ended_at and not one.fault.startswith("WRONG"):
        verdict.in_flight += 1
    else:
        verdict.failures[one.fault] += 1


def judge_answers(verdicts: Sequence[Verdict], model: str, asked: Sequence[Asked], timeline: Timeline) -> Iterator[str]:
    """Judge the answers of a model that moves by rule 2; yield what is wrong."""
    outages, answers = Outages(), Answers()
    for verdict in verdicts:
        if verdict.phase.name == WITHOUT_DATABASE:
            outages.begin(verdict.phase.fault_at)
            outages.end(verdict.phase.mended_at)
    for one in asked:
        if one.model != model or one.fault:
            continue
        answers.add(one.version, one.sent_at, one.ended_at)
        try:
            move = timeline.moved_away(one.version, one.sent_at, one.ended_at)
        except LookupError:
            continue  # judged wrong below
        found = next((it for it in verdicts if it.phase.begin <= one.sent_at < it.phase.end), None)
        if move is not None and found is not None:
            found.old += 1
            found.latest_seconds = max(found.latest_seconds, one.ended_at - timeline.known[move])
    for wrong in judge(answers, timeline, outages).wrong:
        yield f"{model}: {wrong}"
