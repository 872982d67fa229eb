"""How long a version's runs take, learned from its runs, to tell the short ones beforehand.

1. Sizes are elements (characters, for text), in classes of powers of two; each class has its own running mean.
2. A class without a run is judged by the nearest smaller one that has one, as if time grew with the square of the size
   (attention does), or else by the nearest larger one. Too long a guess costs one trip to an executor, and then it is
   known; too short a guess would cost everybody who waits for the event loop.
3. The first guesses are inspection's: the run of the smallest probe, and those of batches.
4. One run counts for a fifth and for at most four times the mean: a run that was merely interrupted is no evidence.
"""

from collections.abc import Mapping
from math import inf, prod

from gateway.serving.runtime import Array
from registry.records import Version
from registry.signature import Signature
from registry.values import size_of

_WEIGHT = 0.2
_MAX_SURPRISE = 4.0


class Pace:
    """What is known of how long one version's runs take, by size."""

    __slots__ = ("_has_text", "_is_plain", "_means", "is_bounded")

    def __init__(self, version: Version) -> None:
        signature = version.signature
        self.is_bounded = version.inspection.is_bounded
        """Whether what a run takes follows from the size of what goes in."""
        self._is_plain = signature.is_plain
        self._has_text = any(spec.dtype.kind == "O" for spec in signature.inputs)
        self._means: dict[int, float] = {}
        if version.inspection.run_seconds is not None:
            self._means[_smallest_size(signature).bit_length()] = version.inspection.run_seconds
        report = version.inspection.batch
        if report is not None and report.shapes:
            elements = sum(prod(shape) for shape in report.shapes[0])
            for rows, seconds in report.run_seconds.items():
                self._means.setdefault((rows * elements).bit_length(), seconds)

    def size_of(self, feed: Mapping[str, Array]) -> int:
        """Return the elements of a feed; a string counts its characters."""
        if not self._is_plain:
            return sum(map(size_of, feed.values()))
        size = 0
        for array in feed.values():
            size += array.size
        if self._has_text:
            size += sum(sum(map(len, array.flat)) for array in feed.values() if array.dtype.kind == "O")
        return size

    def predict_seconds(self, size: int) -> float:
        """Return how long a run on ``size`` elements will probably take; infinite where that cannot be said."""
        if not self.is_bounded:
            return inf
        size_class = size.bit_length()
        mean = self._means.get(size_class)
        return mean if mean is not None else self._guess_seconds(size_class)

    def learn(self, size: int, seconds: float) -> None:
        """Take note of a run."""
        size_class = size.bit_length()
        mean = self._means.get(size_class)
        if mean is None:
            self._means[size_class] = seconds
        else:
            self._means[size_class] = mean + _WEIGHT * (min(seconds, _MAX_SURPRISE * mean) - mean)

    def _guess_seconds(self, size_class: int) -> float:
        smaller = [known for known in self._means if known < size_class]
        if smaller:
            nearest = max(smaller)
            return self._means[nearest] * 4.0 ** (size_class - nearest)
        return self._means[min(self._means)] if self._means else inf


def _smallest_size(signature: Signature) -> int:
    """Return the elements of a feed with every free dimension at 1, optional inputs left out."""
    return sum(
        prod(dim if isinstance(dim, int) else 1 for dim in spec.shape or ())
        for spec in signature.inputs
        if not spec.optional
    )
