"""Who may talk to us at all.

1. The Host header is a host and an optional port, whatever the route; nothing else is ever decided on it.
2. Without tokens the gateway answers this machine's own programs: Host must be a loopback name, and Origin absent or
   the gateway's own. A page of the web that a browser on this machine has open gets 403.
"""

import re

from gateway.settings import is_loopback
from registry.errors import ForeignOrigin, InvalidHost

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}))(?::(?P<port>[0-9]{1,5}))?")

_REMEMBERED = 256


class LoopbackGuard:
    """Lets loopback names with our own origin pass."""

    def __init__(self) -> None:
        self._passed: set[tuple[bytes, bytes]] = set()

    def check(self, host: bytes, origin: bytes) -> None:
        """Do nothing if the request may pass.

        Args:
            host: the Host header, empty if there is none.
            origin: the Origin header, empty if there is none.

        Raises:
            InvalidHost: Host is missing or malformed.
            ForeignOrigin: Host is not a loopback name, or Origin is not this gateway's.
        """
        if (host, origin) in self._passed:
            return
        name = _host_name(host)
        if not is_loopback(name.lower()):
            raise ForeignOrigin("without access tokens the gateway answers on loopback names only, such as 127.0.0.1")
        if origin and origin.lower() not in (b"http://" + host.lower(), b"https://" + host.lower()):
            raise ForeignOrigin("without access tokens the gateway answers no web page but its own")
        if len(self._passed) < _REMEMBERED:
            self._passed.add((host, origin))


def _host_name(host: bytes) -> str:
    match = _HOST.fullmatch(host.decode("latin-1"))
    if match is None or int(match.group("port") or 0) > 65535:  # noqa: PLR2004 - the largest port there is
        raise InvalidHost("the Host header must be a host name or address and an optional port")
    return match.group("name")
