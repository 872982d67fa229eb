"""Which of several content types an answer is to have (RFC 9110 section 12.5.1)."""

import re
from collections.abc import Iterable, Sequence

from registry.errors import NotAcceptable
from registry.names import quoted

_RANGE = re.compile(r"\s*([^\s;,]+/[^\s;,]+)\s*((?:;[^,]*)?)\Z")
_WEIGHT = re.compile(r";\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*(?:;|\Z)", re.IGNORECASE)
_ANY = "*/*"


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
    for part in accept.split(","):
        if match := _RANGE.match(part):
            weight = _WEIGHT.search(match[2])
            yield match[1], float(weight[1]) if weight else 1.0


def _liking(weights: dict[str, float], kind: str) -> tuple[float, bool]:
    """Return how much a type is liked, by the range that names it best, and whether it is named itself."""
    family = kind.split("/", 1)[0] + "/*"
    for name in (kind, family, _ANY):
        if name in weights:
            return weights[name], name == kind
    return 0.0, False
