"""A load: which version each request is for, by which key a proxy places it, and when it comes.

A generated one has models by a law of Zipf, arrivals that know nothing of each other, and days: the rate rises and
falls once in 24 hours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.placement.keys import key_of

DAY_SECONDS: Final = 86_400.0
_STEPS_PER_DAY: Final = 1440

Version = tuple[str, int]
"""A model's name and a version's number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Requests in the order in which they come."""

    keys: Sequence[str]
    versions: Sequence[Version]
    key_indexes: NDArray[np.int32]
    """[requests], into ``keys``."""
    version_indexes: NDArray[np.int32]
    """[requests], into ``versions``."""
    times: NDArray[np.float64]
    """[requests], in seconds, rising."""

    def __len__(self) -> int:
        """Return the number of requests."""
        return len(self.times)

    @property
    def seconds(self) -> float:
        """How long it takes from the first request to the last."""
        return self.seconds_from(0)

    def seconds_from(self, first: int) -> float:
        """Return how long it takes from one of its requests to the last."""
        return float(self.times[-1] - self.times[first])


@dataclass(frozen=True, slots=True, kw_only=True)
class Zipf:
    """A load to be made up."""

    models: int
    requests: int
    rate: float
    """Requests a second, in the mean."""
    exponent: float = 1.0
    swing: float = 0.0
    """How much of the mean the rate rises and falls in a day: 0 to 1."""
    seed: int = 0

    def make(self) -> Load:
        """Return the requests; the same ones each time."""
        choice = np.random.default_rng(self.seed)
        weights = np.cumsum(np.arange(1, self.models + 1, dtype=np.float64) ** -self.exponent)
        ranks = np.searchsorted(weights, choice.random(self.requests) * weights[-1]).astype(np.int32)
        names = [f"model-{rank}" for rank in range(self.models)]
        return Load(
            keys=[key_of(name, "1") for name in names],
            versions=[(name, 1) for name in names],
            key_indexes=ranks,
            version_indexes=ranks,
            times=self._times(choice),
        )

    def _times(self, choice: np.random.Generator) -> NDArray[np.float64]:
        seconds = self.requests / self.rate
        moments: NDArray[np.float64] = np.sort(choice.random(self.requests)) * seconds
        if not self.swing:
            return moments
        # Where the rate is above the mean, time is passed through in less time.
        steps = np.linspace(0, seconds, max(2, int(seconds / DAY_SECONDS * _STEPS_PER_DAY)))
        angular = 2 * np.pi / DAY_SECONDS
        passed = steps + self.swing / angular * (1 - np.cos(angular * steps))
        bent: NDArray[np.float64] = np.interp(moments * (passed[-1] / seconds), passed, steps)
        return bent
