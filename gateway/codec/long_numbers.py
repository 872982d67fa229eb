"""Whether a body may hold a number literal past the limit, without reading its numbers.

A number holds no comma, so where commas are close enough together there is none. A short body is walked from comma to
comma; a long one is cut into stretches so short that a number past the limit covers one of them whole.
"""

import numpy as np

from gateway.codec.limits import MAX_NUMBER_CHARS

_LONG_BYTES = 48 * 1024
"""From here on looking at all stretches at once takes less time than walking."""

_STRETCH = MAX_NUMBER_CHARS // 2
# Almost everywhere a comma stands within so many bytes; only where none does is the whole stretch looked through.
_GLANCE = 64


def may_hold_long_number(body: bytes) -> bool:
    """Return False if no number of the body has more than ``MAX_NUMBER_CHARS`` characters; True tells nothing."""
    return _stretches_lack_comma(body) if len(body) >= _LONG_BYTES else _commas_are_far_apart(body)


def _commas_are_far_apart(body: bytes) -> bool:
    start, end = 0, len(body)
    while end - start > MAX_NUMBER_CHARS:
        comma = body.rfind(b",", start, start + MAX_NUMBER_CHARS)
        if comma < 0:
            return True
        start = comma + 1
    return False


def _stretches_lack_comma(body: bytes) -> bool:
    count = len(body) // _STRETCH
    stretches = np.frombuffer(body, np.uint8, count * _STRETCH).reshape(count, _STRETCH)
    doubtful = np.flatnonzero(~(stretches[:, :_GLANCE] == ord(",")).any(axis=1))
    return not bool((stretches[doubtful] == ord(",")).any(axis=1).all())
