"""Whatever is promoted, rolled back and retired: the history alone tells the state, and the way back is a stack."""

import tempfile
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from registry.errors import Conflict, NotFound
from registry.history import last_move_at, standing_promotions
from registry.promotion import Proposal
from registry.retirement import Retirement
from tests.support.registries import NOON, Bench, fresh_bench

VERSIONS = 4

Act: TypeAlias = tuple[str, int, int]
"""What is done, to which version, and how many seconds the clock goes forward (or back) before."""

ACTS = st.lists(
    st.tuples(
        st.sampled_from(["promote", "promote", "promote", "back", "back", "back to", "retire"]),
        st.integers(1, VERSIONS),
        st.integers(-60, 60),
    ),
    max_size=25,
)


@dataclass
class Stack:
    """The rule in its shortest form: a stack of what is live, and a set of what is retired."""

    live: list[int] = field(default_factory=list)
    ever: set[int] = field(default_factory=set)
    retired: set[int] = field(default_factory=set)

    def act(self, act: str, version: int) -> bool:
        """Return whether it is allowed."""
        if act == "promote":
            allowed = version not in self.retired
            self.live += [version] if allowed and self.live[-1:] != [version] else []
        elif act == "retire":
            allowed = version not in self.retired and self.live[-1:] != [version]
            self.retired |= {version} if allowed else set()
        elif act == "back":
            allowed = self._cut([each for each in self.live if each not in {*self.retired, self.live[-1]}])
        else:
            allowed = version in self.ever - self.retired
            if allowed and version != self.live[-1] and not self._cut([version]):
                self.live.append(version)
        self.ever |= set(self.live)
        return allowed

    def _cut(self, targets: list[int]) -> bool:
        places = [place for place, version in enumerate(self.live) if version in targets]
        del self.live[places[-1] + 1 if places else len(self.live) :]
        return bool(places)


def perform(bench: Bench, act: str, version: int) -> bool:
    try:
        if act == "promote":
            bench.promotion.move("iris", "production", Proposal(version=version), actor="ada")
        elif act == "retire":
            Retirement(bench.registry, bench.clock).retire("iris", version, actor="ada")
        else:
            to = version if act == "back to" else None
            bench.promotion.rollback("iris", "production", to=to, actor="ada")
    except (Conflict, NotFound):
        return False
    return True


@settings(max_examples=60, database=None)
@given(acts=ACTS)
def test_the_history_tells_the_state_and_the_way_back(acts: list[Act]) -> None:
    stack = Stack()
    with tempfile.TemporaryDirectory() as folder, fresh_bench(Path(folder)) as bench:
        bench.register_versions("iris", VERSIONS)
        for act, version, seconds in acts:
            bench.clock.moment += timedelta(seconds=seconds)
            assert perform(bench, act, version) == stack.act(act, version)
        with bench.registry.reading() as catalog:
            alias = catalog.find_alias("iris", "production")
            moves = catalog.list_moves("iris", "production")
            events = catalog.list_events(after=0, limit=1000)
    standing = standing_promotions(moves)
    assert [move.to_version for move in standing] == stack.live
    assert [move.from_version for move in standing] == [None, *stack.live][: len(standing)]
    assert [move.from_version for move in moves] == [None, *(move.to_version for move in moves)][: len(moves)]
    assert (None if alias is None else (alias.version, alias.generation)) == (
        (moves[-1].to_version, len(moves)) if moves else None
    )
    assert [event.detail["move"] for event in events if event.alias is not None] == [move.id for move in moves]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))


@settings(max_examples=60, database=None)
@given(acts=ACTS, seconds=st.integers(-600, 600))
def test_the_past_is_the_newest_move_that_is_not_later(acts: list[Act], seconds: int) -> None:
    with tempfile.TemporaryDirectory() as folder, fresh_bench(Path(folder)) as bench:
        bench.register_versions("iris", VERSIONS)
        for act, version, step in acts:
            bench.clock.moment += timedelta(seconds=step)
            perform(bench, act, version)
        with bench.registry.reading() as catalog:
            moves = catalog.list_moves("iris", "production")
    at = NOON + timedelta(seconds=seconds)
    not_later = [move.id for move in moves if move.at <= at]
    found = last_move_at(moves, at)
    assert (None if found is None else found.id) == max(not_later, default=None)
