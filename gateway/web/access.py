"""Who may talk to us at all.

1. The Host header is a host and an optional port, whatever the route; nothing else is ever decided on it.
2. Without tokens the gateway answers this machine's own programs: Host must be a loopback name, and Origin absent or
   the gateway's own. A page of the web that a browser on this machine has open gets 403.
3. With tokens a request is answered for its token, and from anywhere: no page of the web can send a token by itself.
   It is decided before a byte of the body is read.
4. The token is that of the Authorization header. Where there is none, it may be that of the console's cookie, which a
   browser sends by itself: for GET and HEAD below ``/console``, and for what bears the console's header from this very
   origin (``gateway.web.cookies``). It is checked, and its failures are counted, as any other.
"""

import re
from typing import Any, Protocol

from gateway.serving.token_verdicts import TokenVerdicts
from gateway.settings import is_loopback
from gateway.web.attempts import Attempts
from gateway.web.cookies import presented_by_cookie
from gateway.web.limits import Scope
from registry.credentials import Credential, parse_credential
from registry.errors import ForeignOrigin, InvalidHost, ServiceError, Unauthenticated
from registry.roles import Caller, Role

ACTOR = "sardonyx.actor"
"""The key of a scope under which whoever calls the application in process says who acts."""

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}))(?::(?P<port>[0-9]{1,5}))?")

_REMEMBERED = 256

_ANYBODY = Caller(name="anonymous", role=Role.ADMIN)


class Gate(Protocol):
    """Decides who a request comes from."""

    is_constant: bool
    """True if the same headers always come from the same caller."""

    def find(self, headers: dict[bytes, bytes], scope: Scope, now: float) -> Caller | None:
        """Return who sends this if that can be told without waiting, else None.

        Raises:
            InvalidHost: Host is missing or malformed.
            ForeignOrigin: Host or Origin is one that may not be.
        """
        ...

    async def admit(self, headers: dict[bytes, bytes], scope: Scope) -> Caller:
        """Return who sends what ``find`` returned None for.

        Raises:
            Unauthenticated: it brings no token that is good.
            TooManyAttempts: too many such requests came from there.
            RegistryUnavailable, RegistryBusy, Overloaded: whether the token is good cannot be told now.
        """
        ...


class LoopbackGate:
    """Without tokens: lets in whatever runs on this machine, to do anything."""

    is_constant = True

    def __init__(self) -> None:
        self._guard = LoopbackGuard()

    def find(self, headers: dict[bytes, bytes], scope: Scope, now: float) -> Caller | None:  # noqa: ARG002 - Gate's
        """Return whoever calls the application in process, else anybody."""
        self._guard.check(headers.get(b"host", b""), headers.get(b"origin", b""))
        actor = scope.get(ACTOR)
        return _ANYBODY if actor is None else Caller(name=actor, role=Role.ADMIN)

    async def admit(self, headers: dict[bytes, bytes], scope: Scope) -> Caller:  # noqa: ARG002 - Gate's
        """Return nobody: ``find`` has always told."""
        raise AssertionError("find tells, or raises")


class TokenGate:
    """With tokens: lets in whoever presents one that is good."""

    is_constant = False

    def __init__(self, verdicts: TokenVerdicts, attempts: Attempts) -> None:
        self._verdicts = verdicts
        self._attempts = attempts
        self._hosts: set[bytes] = set()

    def find(self, headers: dict[bytes, bytes], scope: Scope, now: float) -> Caller | None:
        """Return whose token this is if it is known to be good."""
        host = headers.get(b"host", b"")
        if host not in self._hosts:
            _host_name(host)
            if len(self._hosts) < _REMEMBERED:
                self._hosts.add(host)
        presented = headers.get(b"authorization")
        if presented is None:
            presented = presented_by_cookie(headers, scope)
        return None if presented is None else self._verdicts.find(presented, now)

    async def admit(self, headers: dict[bytes, bytes], scope: Scope) -> Caller:
        """Return whose token this is."""
        presented = headers.get(b"authorization")
        if presented is None:
            presented = presented_by_cookie(headers, scope) or b""
        credential = _bearer(presented)
        client: Any = scope.get("client")
        address = "" if client is None else client[0]
        if self._verdicts.expects(credential):
            try:
                return await self._verdicts.judge(presented, credential)
            except Unauthenticated:  # it has been revoked, or has ended
                self._attempts.take(address)
                raise
        counted = self._attempts.take(address)
        try:
            caller = await self._verdicts.judge(presented, credential)
        except Unauthenticated:
            raise
        except ServiceError:
            self._attempts.give_back(counted)
            raise
        self._attempts.give_back(counted)
        return caller


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


def _bearer(presented: bytes) -> Credential | None:
    """Return the token of an Authorization header; None if it holds none, or a mistyped one."""
    scheme, _, text = presented.partition(b" ")
    if scheme.lower() != b"bearer":
        return None
    return parse_credential(text.strip(b" ").decode("latin-1"))


def _host_name(host: bytes) -> str:
    match = _HOST.fullmatch(host.decode("latin-1"))
    if match is None or int(match.group("port") or 0) > 65535:  # noqa: PLR2004 - the largest port there is
        raise InvalidHost("the Host header must be a host name or address and an optional port")
    return match.group("name")
