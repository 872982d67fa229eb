"""Whether a request came by https: the gateway itself speaks plain HTTP, a proxy before it may speak https."""

from collections.abc import Mapping


def came_by_https(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether the proxy says that the caller speaks https to it (``X-Forwarded-Proto``, its first value).

    Should the header be a lie, it is the caller's own: a cookie that a browser then keeps from plain connections, and a
    program's address that does not answer; nothing is let in by it.
    """
    return headers.get(b"x-forwarded-proto", b"").partition(b",")[0].strip().lower() == b"https"


def base_url(headers: Mapping[bytes, bytes]) -> str:
    """Return where the caller has reached the gateway, as a URL without a path."""
    return f"{'https' if came_by_https(headers) else 'http'}://{headers[b'host'].decode('latin-1')}"
