"""Where webhooks may lead: never to what only this machine or its network can reach, unless the operator says so.

Rules:
    1. What counts is the address that is connected to. A name is looked up once for each attempt, all its addresses
       must be allowed, and the connection goes to one of those: who answers another one the next time gains nothing.
    2. Addresses that hold another one (IPv4 in IPv6, in each of its forms) are what they hold.
    3. Link-local addresses, those at which clouds give away secrets, multicast, reserved and unspecified ones are never
       allowed, whatever the operator says. Nor is a network's own prefix for translation (RFC 8215): where in such an
       address the IPv4 one is only that network knows.
"""

import ipaddress
import queue
import socket
import threading
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.endpoints import Address, is_metadata_address, is_metadata_name
from registry.errors import UrlNotAllowed
from registry.names import quoted

LOOK_UP_SECONDS: Final = 3.0
"""How long a name is looked up."""

_MOST_ADDRESSES = 8
_PORTS = {"https": 443, "http": 80}
_IPV4_BEHIND_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")
_IPV4_COMPATIBLE = ipaddress.ip_network("::/96")
_NOT_PUBLIC = tuple(map(ipaddress.ip_network, ("192.88.99.0/24", "3fff::/20")))
"""Relays to IPv6 that are no more, and documentation: whether Python knows these depends on its age."""

Found = tuple[socket.AddressFamily, tuple[Any, ...]]
"""A family, and an address with its port as ``connect`` takes them."""


class HostNotFoundError(OSError):
    """The host of a URL has no address, or nobody says so in time."""


class Places:
    """Which URLs may be connected to, and where they lead; safe for threads.

    Args:
        are_private_allowed: True allows private and loopback addresses, and ``http``.
        look_up: finds the addresses of a name, as ``socket.getaddrinfo`` does.
    """

    def __init__(self, *, are_private_allowed: bool, look_up: Callable[..., list[Any]] = socket.getaddrinfo) -> None:
        self._are_private_allowed = are_private_allowed
        self._look_up = look_up

    def check(self, url: str) -> None:
        """Do nothing if a URL may be connected to now.

        Raises:
            UrlNotAllowed: its scheme or an address of its host is not allowed, or the host is not found.
        """
        try:
            self.find(url)
        except HostNotFoundError as error:
            raise UrlNotAllowed(str(error)) from None

    def find(self, url: str) -> list[Found]:
        """Return the addresses of a URL's host, all of which are allowed; blocks for some seconds at most.

        Raises:
            UrlNotAllowed: its scheme or an address of its host is not allowed.
            HostNotFoundError: the host is not found.
        """
        parts = urlsplit(url)
        if parts.scheme == "http" and not self._are_private_allowed:
            raise UrlNotAllowed("webhooks go over https only, unless SARDONYX_WEBHOOK_PRIVATE is on")
        host = (parts.hostname or "").rstrip(".").lower()
        if is_metadata_name(host):
            raise UrlNotAllowed(f"{quoted(host)} is where a cloud gives away secrets")
        found = self._addresses(host, parts.port or _PORTS[parts.scheme])
        for _, where in found:
            self._check_address(host, where[0])
        return found[:_MOST_ADDRESSES]

    def _addresses(self, host: str, port: int) -> list[Found]:
        """Look a host up, in a thread that may be left behind: the system's resolver knows no limit of time."""
        answers: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()

        def look_up() -> None:
            try:
                answers.put(self._look_up(host, port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError):
                answers.put([])

        threading.Thread(target=look_up, name="look-up-host", daemon=True).start()
        try:
            found = answers.get(timeout=LOOK_UP_SECONDS)
        except queue.Empty:
            found = []
        if not found:
            raise HostNotFoundError(f"the host {quoted(host)} is not found")
        return [(family, where) for family, _, _, _, where in found]

    def _check_address(self, host: str, text: str) -> None:
        address = innermost(ipaddress.ip_address(text.partition("%")[0]))
        if is_never_allowed(address) or not (self._are_private_allowed or _is_public(address)):
            raise UrlNotAllowed(f"{quoted(host)} leads to {address}, where webhooks may not go")


def innermost(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    teredo = address.teredo
    inner = address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
    if inner is None and address in _IPV4_BEHIND_NAT64:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if inner is None and address in _IPV4_COMPATIBLE and int(address) > 1:  # neither :: nor ::1
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return inner or address


def is_never_allowed(address: Address) -> bool:
    """True for an address that no receiver has, whatever network this is."""
    is_nobody = address.is_unspecified or address.is_multicast or (address.is_reserved and not address.is_loopback)
    is_zero_net = isinstance(address, ipaddress.IPv4Address) and int(address) >> 24 == 0
    is_translated = address in _LOCAL_NAT64
    return is_nobody or is_zero_net or is_translated or address.is_link_local or is_metadata_address(address)


def _is_public(address: Address) -> bool:
    is_special = address.is_private or address.is_loopback or any(address in network for network in _NOT_PUBLIC)
    return address.is_global and not is_special
