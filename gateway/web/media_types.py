"""Which of several content types an answer is to have (RFC 9110 section 12.5.1)."""

import re
from collections.abc import Iterable, Sequence

from registry.errors import NotAcceptable
from registry.names import quoted

_WEIGHT = re.compile(r"q\s*+=\s*+(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.ASCII)
_ANY = "*/*"
_MOST_RANGES = 100
"""So many are looked at: the header may have tens of thousands, and is read on the event loop."""


def essence(content_type: bytes) -> str:
    """Return a content type without its parameters, in lower case."""
    return content_type.split(b";", 1)[0].strip().lower().decode("latin-1")


def choose_type(accept: bytes | None, offered: Sequence[str]) -> str:
    """Return the type that the Accept header likes best; of several, one that it names, then the one offered first.

    Raises:
        NotAcceptable: it names none of them.
    """
    if accept is None or not accept.strip():
        return offered[0]
    weights = dict(_ranges(accept.decode("latin-1").lower()))
    liked = [(*_liking(weights, kind), -place, kind) for place, kind in enumerate(offered)]
    weight, *_, best = max(liked)
    if weight == 0:
        given = quoted(accept.decode("latin-1"))
        raise NotAcceptable(f"Accept: {given} names none of {', '.join(offered)}")
    return best


def _ranges(accept: str) -> Iterable[tuple[str, float]]:
    for part in accept.split(",", _MOST_RANGES)[:_MOST_RANGES]:
        name, _, parameters = part.partition(";")
        found = map(_WEIGHT.fullmatch, map(str.strip, parameters.split(";")))
        yield name.strip(), next((float(weight[1]) for weight in found if weight), 1.0)


def _liking(weights: dict[str, float], kind: str) -> tuple[float, bool]:
    """Return how much a type is liked, by the range that names it best, and whether it is named itself."""
    family = kind.split("/", 1)[0] + "/*"
    for name in (kind, family, _ANY):
        if name in weights:
            return weights[name], name == kind
    return 0.0, False
