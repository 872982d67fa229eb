"""Which hosts a setting may name: never those at which a cloud gives its secrets to whoever asks from inside."""

import ipaddress
import socket
from urllib.parse import urlsplit

_METADATA_NAMES = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"}
)
_METADATA_ADDRESSES = frozenset(
    map(ipaddress.ip_address, ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"))
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def check_endpoint(url: str) -> str:
    """Return the URL of a server: a scheme, a host and a port, nothing else.

    Names are not resolved: who sets them is trusted, and warned only of what is never meant.

    Raises:
        ValueError: it is not that, or the host is a link-local or a metadata address.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".").lower()
    if parts.scheme not in ("http", "https") or not host or _port_of(url) == 0:
        raise ValueError("the endpoint is the URL of a server, such as https://s3.example.org:9000")
    if parts.username is not None or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("the endpoint is a scheme, a host and a port only; credentials come by boto3's usual chain")
    address = _address_of(host)
    if is_metadata_name(host) or (address is not None and _is_forbidden(address)):
        raise ValueError(f"{host} is a link-local or metadata address, which is no artifact store")
    return url.rstrip("/")


def is_metadata_name(host: str) -> bool:
    """True for a name under which a cloud gives its secrets away."""
    return host in _METADATA_NAMES


def is_metadata_address(address: Address) -> bool:
    """True for an address at which a cloud gives its secrets away, the link-local ones left out."""
    return address in _METADATA_ADDRESSES


def _port_of(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:
        return 0


def _address_of(host: str) -> Address | None:
    """Return the address that a host is, in every spelling that the system's resolver takes for one."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.ip_address(socket.inet_aton(host))
    except OSError:
        return None


def _is_forbidden(address: Address) -> bool:
    inner = getattr(address, "ipv4_mapped", None) or address
    return inner.is_link_local or inner.is_unspecified or is_metadata_address(inner)
