"""What a browser may do with the console's answers: every one of them says so, whatever its status.

1. Nothing comes from anywhere but this gateway, and nothing is written into a page: no script, no style, no frame of
   another origin. What somebody has put into a model's name or description stays text.
2. No page may be shown within another one, but for those of a ``FramedRoute``, within the console's own.
3. Nobody keeps a page: it says what is live now. What is named by its digest is kept for ever.
"""

from collections.abc import Callable, Iterable
from typing import Final

from fastapi import Request, Response

from gateway.web.guarded import GuardedRoute, Handler

_OURS = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data: blob:",
    "connect-src 'self'",
    "font-src 'self'",
    "form-action 'self'",
    "frame-src 'self'",
    "base-uri 'none'",
)

Lines = tuple[tuple[str, str], ...]


def _lines(frame_ancestors: str) -> Lines:
    return (
        ("content-security-policy", "; ".join((*_OURS, f"frame-ancestors {frame_ancestors}"))),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    )


ALONE: Final = _lines("'none'")
"""The headers of what stands in no frame."""

FRAMED: Final = _lines("'self'")
"""The headers of what stands in a frame of the console's own pages."""

NOT_KEPT: Final = ("cache-control", "no-store")
KEPT: Final = ("cache-control", "private, max-age=31536000, immutable")


class ConsoleRoute(GuardedRoute):
    """A route whose answers carry the console's headers."""

    lines = ALONE

    def get_route_handler(self) -> Handler:
        """Return the guarded handler; what it raises is answered by ``refusals``, with the same headers."""
        handle, lines = super().get_route_handler(), self.lines

        async def handle_and_protect(request: Request) -> Response:
            response = await handle(request)
            protect(response.headers.setdefault, lines)
            return response

        return handle_and_protect


class FramedRoute(ConsoleRoute):
    """A route whose pages may stand in a frame of the console's own."""

    lines = FRAMED


def protect(set_default: Callable[[str, str], object], lines: Iterable[tuple[str, str]] = ALONE) -> None:
    """Set what an answer does not say itself."""
    for name, value in (*lines, NOT_KEPT):
        set_default(name, value)
