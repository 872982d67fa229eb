"""What the choice of the session to drop costs in seconds of loading, on traces: ``python -m bench.eviction``.

2,000 models as gateways have them (half of them tiny, a tenth of 100 MB), room for a tenth of their bytes, and for each
trace the loads of each policy beside those of least recently used. Seeded; nothing is measured: any machine will do.
"""

import math
import random
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Protocol, cast

import numpy as np

from gateway.serving.cache_entry import Entry
from gateway.serving.eviction import Ranking
from gateway.serving.lifecycle import State
from tests.support.serving_models import make_version

MODEL_COUNT = 2000
HOT_COUNT = 150
ROOM = 0.1
KINDS = ((0.5, 0.13e6, 0.001), (0.25, 3e6, 0.008), (0.15, 8e6, 0.03), (0.1, 100e6, 0.2))
"""Share of the models, bytes of a session, seconds of a load; the last are those that cannot be prepared."""

Model = tuple[int, float]
Trace = list[int]


class Policy(Protocol):
    """Who is resident; a model's bytes are dropped for the next."""

    def use(self, model: int) -> bool:
        """Use a model; False if it is not resident."""
        ...

    def add(self, model: int, size_bytes: int, seconds: float) -> None:
        """Take in what has been loaded."""
        ...

    def drop(self) -> int:
        """Choose one, drop it, and return its bytes."""
        ...


class LeastRecentlyUsed:
    """The usual one."""

    def __init__(self) -> None:
        self._sizes: OrderedDict[int, int] = OrderedDict()

    def use(self, model: int) -> bool:
        if model not in self._sizes:
            return False
        self._sizes.move_to_end(model)
        return True

    def add(self, model: int, size_bytes: int, seconds: float) -> None:
        del seconds
        self._sizes[model] = size_bytes

    def drop(self) -> int:
        return self._sizes.popitem(last=False)[1]


class Ranked:
    """The gateway's own; ``counts_uses`` False is GreedyDual-Size, without the frequency."""

    def __init__(self, *, counts_uses: bool) -> None:
        self._counts_uses = counts_uses
        self._ranking: Ranking[Entry[Any]] = Ranking()
        self._entries: dict[int, Entry[Any]] = {}

    def use(self, model: int) -> bool:
        entry = self._entries.get(model)
        if entry is None:
            return False
        entry.uses += self._counts_uses
        entry.floor = self._ranking.floor
        return True

    def add(self, model: int, size_bytes: int, seconds: float) -> None:
        entry: Entry[Any] = Entry((str(model), 1), make_version(), size_bytes)
        entry.state, entry.uses, entry.load_seconds = State.READY, 1, seconds
        self._entries[model] = entry
        self._ranking.add(entry)

    def drop(self) -> int:
        (entry,) = self._ranking.choose(1, lambda _: True)
        entry.become(State.DRAINING)
        self._ranking.remove(entry)
        del self._entries[int(entry.key[0])]
        return entry.size_bytes


def make_models(choice: random.Random) -> list[Model]:
    kinds = choice.choices(KINDS, [share for share, _, _ in KINDS], k=MODEL_COUNT)
    return [
        (max(1 << 17, int(size * math.exp(choice.gauss(0, 0.5)))), seconds * math.exp(choice.gauss(0, 0.5)))
        for _, size, seconds in kinds
    ]


def zipf(choice: random.Random, count: int, exponent: float, length: int) -> Trace:
    """Return requests for models in the order of a law of Zipf, the models shuffled."""
    weights = np.arange(1, count + 1) ** -exponent
    order = choice.sample(range(count), count)
    return [order[rank] for rank in choice.choices(range(count), cast("list[float]", weights.tolist()), k=length)]


def scans(choice: random.Random, share: float) -> Trace:
    """Return requests for a hot set, and now and then one for each of all other models, between them or in a row."""
    trace: Trace = []
    cold: Trace = []
    for index, hot in enumerate(zipf(choice, HOT_COUNT, 0.8, 150_000)):
        if index % 50_000 == 25_000:
            cold = list(range(HOT_COUNT, MODEL_COUNT))
        trace.append(hot)
        while cold and choice.random() < share:
            trace.append(cold.pop())
    return trace


def make_traces(choice: random.Random) -> Iterator[tuple[str, Trace]]:
    for exponent in (0.7, 1.0, 1.3):
        yield f"zipf {exponent}", zipf(choice, MODEL_COUNT, exponent, 120_000)
    yield "scans, one in three", scans(choice, 1 / 3)
    yield "scans, nine in ten", scans(choice, 0.9)
    for exponent in (0.8, 1.1):
        parts = [zipf(choice, MODEL_COUNT, exponent, 40_000) for _ in range(4)]
        yield f"other favourites, zipf {exponent}", [model for part in parts for model in part]
    yield "evenly", choice.choices(range(MODEL_COUNT), k=60_000)


def loading_seconds(policy: Policy, models: list[Model], trace: Trace) -> float:
    """Return what a policy's loads take on a trace."""
    free_bytes = int(ROOM * sum(size for size, _ in models))
    spent = 0.0
    for model in trace:
        if policy.use(model):
            continue
        size_bytes, seconds = models[model]
        spent += seconds
        while free_bytes < size_bytes:
            free_bytes += policy.drop()
        policy.add(model, size_bytes, seconds)
        free_bytes -= size_bytes
    return spent


def main() -> None:
    choice = random.Random(7)  # noqa: S311  a trace, not a secret
    models = make_models(choice)
    print(f"{'':32}{'LRU, s':>10}{'by size':>10}{'by size and use':>18}")
    for name, trace in make_traces(choice):
        usual = loading_seconds(LeastRecentlyUsed(), models, trace)
        ratios = [loading_seconds(Ranked(counts_uses=uses), models, trace) / usual for uses in (False, True)]
        print(f"{name:32}{usual:>10.0f}{ratios[0]:>10.2f}{ratios[1]:>18.2f}", flush=True)


if __name__ == "__main__":
    main()
