"""The console's cookie, which holds an access token: when it counts, and how it is set and cleared.

1. It counts only where there is no Authorization header: whoever sends one is answered for it, good or bad.
2. It counts for reading a page (GET or HEAD below ``/console``), which changes nothing.
3. It counts for anything else only beside the header ``x-sardonyx-console: 1``. A page of another origin cannot send
   that: its browser asks first (a CORS preflight), and is never answered. Where the browser says whence a request comes
   (Origin, Sec-Fetch-Site), that must be this origin besides.
4. A browser keeps it from scripts (HttpOnly), from other sites' requests (SameSite=Strict) and, if it was set over
   https, from plain connections (Secure). It ends with the browser's session.
5. Where the request came by https its name begins with ``__Host-``, and no other name counts: browsers take such a
   cookie from this very host by https only, so that no neighbour, of a port or of the domain, can have set it. Over
   plain http one can.
6. Two of the name are none: a neighbour of the same host may have set one of them.
"""

from collections.abc import Mapping

from gateway.web.limits import Scope
from gateway.web.schemes import came_by_https

CONSOLE = "/console"
MARK = (b"x-sardonyx-console", b"1")
"""The header, and its value, by which the console's own scripts are known."""

_NAME = b"sardonyx_console"
_SECURE_NAME = b"__Host-" + _NAME
_LONGEST = 256
_READING = ("GET", "HEAD")


def is_console(path: str) -> bool:
    """Return whether a path is one of the console's."""
    return path == CONSOLE or path.startswith(CONSOLE + "/")


def presented_by_cookie(headers: Mapping[bytes, bytes], scope: Scope) -> bytes | None:
    """Return what Authorization would say if the browser sent it; None where the cookie is absent or does not count.

    Args:
        headers: of a request without Authorization.
        scope: of the request; an empty one stands for a request that is none of the console's pages.
    """
    cookies = headers.get(b"cookie")
    if cookies is None:
        return None
    is_marked = headers.get(MARK[0]) == MARK[1]
    is_reading = scope.get("method") in _READING and is_console(scope.get("path", ""))
    if not is_reading and not (is_marked and is_same_origin(headers)):
        return None
    token = _find(cookies, _SECURE_NAME if came_by_https(headers) else _NAME)
    return None if token is None else b"Bearer " + token


def is_same_origin(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether nothing says that another origin sends this."""
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    if site is not None and site != b"same-origin":
        return False
    host = headers.get(b"host", b"").lower()
    return origin is None or origin.lower() in (b"http://" + host, b"https://" + host)


def setting(token: str, *, is_secure: bool) -> str:
    """Return the value of the Set-Cookie header that has a browser present a token; no token has it forget."""
    ends = "" if token else "; Max-Age=0"
    secure = "; Secure" if is_secure else ""
    name = _SECURE_NAME if is_secure else _NAME
    return f"{name.decode()}={token}; Path=/; HttpOnly; SameSite=Strict{secure}{ends}"


def _find(cookies: bytes, name: bytes) -> bytes | None:
    parts = (part.strip().partition(b"=") for part in cookies.split(b";"))
    found = [value for found_name, _, value in parts if found_name == name]
    return found[0] if len(found) == 1 and 0 < len(found[0]) <= _LONGEST else None
