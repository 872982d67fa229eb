"""Where a server answers, and the token that it is shown: held against what HTTP can carry before anything is sent."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.client.errors import UnusableArgument


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """The parts of a URL that requests are made of."""

    is_secure: bool
    host: str
    port: int | None
    """None where the URL names none."""
    prefix: str
    """A path before the server's own, without a slash at its end."""


def parse_address(url: str, *, whose: str = "a gateway's") -> Address:
    """Return the parts of a server's URL.

    Raises:
        UnusableArgument: it is none, or has a user or a password in it.
    """
    shown = "what was given" if "@" in url else repr(url)  # before an @ may be a password
    refused = UnusableArgument(f"{shown} is not {whose} URL: write http://host:port or https://host")
    if not url.isprintable() or " " in url:
        raise refused
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")  # as the socket will
    except ValueError:
        raise refused from None
    if parts.username is not None or parts.password is not None:
        raise UnusableArgument(f"{whose} URL holds a user or a password: give a token instead")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or not parts.path.isascii():
        raise refused
    return Address(is_secure=parts.scheme == "https", host=host, port=port, prefix=parts.path.rstrip("/"))


def parse_token(text: str | None) -> str | None:
    """Return a token without the white space around it, which files end with; None if nothing is left.

    Raises:
        UnusableArgument: it has signs that no header carries; it is not shown.
    """
    token = (text or "").strip()
    if not (token.isascii() and token.isprintable()):
        raise UnusableArgument("the token is not one line of printable ASCII: look where it comes from")
    return token or None
