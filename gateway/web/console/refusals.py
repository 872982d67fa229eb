"""What the console answers where it does not answer: a page, not a problem's JSON.

1. Somebody who is not signed in and asks for a page is sent to sign in, and comes back to it.
2. A browser does not send the cookie along when a link on another site leads here (SameSite=Strict). Then the page asks
   for itself once more, which the browser sees as this site's own request: who is signed in arrives without a detour.
3. Any other refusal is a page that says the problem's title, its detail and its violations, with its status.
"""

from collections.abc import Callable
from urllib.parse import quote

from gateway.web.console.pages import frame
from gateway.web.console.policy import protect
from gateway.web.console.sign_in import SIGN_IN
from gateway.web.console.templates import prepare, render
from gateway.web.cookies import is_console
from gateway.web.exchange import Exchange
from gateway.web.limits import Scope
from gateway.web.problems import Headers, problem, problem_answer
from registry.errors import ServiceError, Unauthenticated

_PROBLEM, _AGAIN = "problem.html", "again.html"
_SEE_OTHER = 303
_LONGEST_QUERY = 1024


def build_ahead() -> None:
    """Have the pages of refusals ready: they are drawn on the event loop."""
    prepare(_PROBLEM, _AGAIN)


def console_refusal(error: ServiceError, exchange: Exchange, scope: Scope) -> tuple[int, Headers, bytes] | None:
    """Return the answer to a request of the console that met ``error``; None for a request of anybody else.

    Args:
        error: what happened.
        exchange: of the request.
        scope: of the request, as ASGI has it.
    """
    is_page = exchange.method == "GET" and isinstance(error, Unauthenticated)
    if not is_console(exchange.path):
        return _redirect("/console") if is_page and exchange.path == "/" and _wants_html(exchange) else None
    if not is_page:
        told = problem(error, request_id=exchange.request_id)
        return _answer(error, exchange, _PROBLEM, {"problem": told})
    place = _place(exchange, scope)
    if exchange.headers.get(b"hx-request") is not None:
        return _redirect_of_a_part(error, exchange, _sign_in(place))
    if exchange.headers.get(b"sec-fetch-site") == b"cross-site":
        return _answer(error, exchange, _AGAIN, {"again": place})
    return _redirect(_sign_in(place))


def _answer(
    error: ServiceError, exchange: Exchange, template: str, more: dict[str, object]
) -> tuple[int, Headers, bytes]:
    status, headers, _ = problem_answer(error, request_id=exchange.request_id)
    body = render(template, {**frame(exchange), **more}).encode()
    told = {b"content-type": b"text/html; charset=utf-8", b"content-length": b"%d" % len(body)}
    return status, _protected([(name, told.get(name, value)) for name, value in headers]), body


def _redirect(place: str) -> tuple[int, Headers, bytes]:
    return _SEE_OTHER, _protected([(b"location", place.encode("ascii")), (b"content-length", b"0")]), b""


def _redirect_of_a_part(error: ServiceError, exchange: Exchange, place: str) -> tuple[int, Headers, bytes]:
    """Send the whole page away, since a part of it would show the form to sign in in its place."""
    status, headers, _ = problem_answer(error, request_id=exchange.request_id)
    kept = [(name, value) for name, value in headers if name not in (b"content-type", b"content-length")]
    return status, _protected([*kept, (b"hx-redirect", place.encode("ascii")), (b"content-length", b"0")]), b""


def _protected(headers: Headers) -> Headers:
    known = {name for name, _ in headers}
    protect(_appender(headers, known))
    return headers


def _appender(headers: Headers, known: set[bytes]) -> Callable[[str, str], object]:
    def append(name: str, value: str) -> None:
        if name.encode() not in known:
            headers.append((name.encode(), value.encode()))

    return append


def _sign_in(place: str) -> str:
    return f"{SIGN_IN}?next={quote(place, safe='')}"


def _place(exchange: Exchange, scope: Scope) -> str:
    query = scope.get("query_string", b"")[:_LONGEST_QUERY].decode("latin-1")
    return quote(exchange.path, safe="/:@") + (f"?{quote(query, safe='=&%+,:@/')}" if query else "")


def _wants_html(exchange: Exchange) -> bool:
    return b"text/html" in exchange.headers.get(b"accept", b"")
