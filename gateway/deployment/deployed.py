"""What is deployed: the gateways, the registries, the proxy before them, and the settings that all of them share.

A server's id is its place on the ring. It is written down rather than counted, so that taking one server away, or
naming them in another order, moves no other.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from gateway.settings import Settings

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|[0-9a-fA-F:]{2,45}")
_EVERY_ADDRESS: Final = "*"
_GREATEST_ID: Final = 4096
_LEAST_FACTOR: Final = 101
_GREATEST_FACTOR: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A process of ours, as the proxy reaches it.

    Raises:
        ValueError: a field is none that a proxy could use.
    """

    id: int
    """Its place on the ring: from 1 on, the same for ever."""
    name: str
    host: str
    port: int = 8000
    grpc_port: int | None = None
    """Of the Open Inference Protocol over gRPC; None for none."""

    def __post_init__(self) -> None:
        if not 1 <= self.id <= _GREATEST_ID:
            raise ValueError(f"{self.id} is no server's id: ids go from 1 to {_GREATEST_ID}")
        if _NAME.fullmatch(self.name) is None:
            raise ValueError(f"{self.name!r} is no server's name: use up to 63 of a-z, 0-9, '.' and '-'")
        _check_host(self.host)
        for port in (self.port, self.grpc_port):
            _check_port(port)
        if self.port == self.grpc_port:
            raise ValueError(f"{self.host}: HTTP has port {self.port} already; gRPC has another one")

    @property
    def address(self) -> str:
        """Where HTTP is served, as a proxy writes it."""
        return address(self.host, self.port)

    @property
    def grpc_address(self) -> str | None:
        """Where gRPC is served; None where it is not."""
        return None if self.grpc_port is None else address(self.host, self.grpc_port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Several gateways behind one proxy.

    Raises:
        ValueError: the parts do not fit together; the message says which.
    """

    gateways: tuple[Server, ...]
    registries: tuple[Server, ...] = ()
    """The first one answers, the next one where it does not. None where every gateway has the role ``all``."""
    host: str = _EVERY_ADDRESS
    """Where the proxy listens; ``*`` for all its addresses."""
    port: int = 8080
    grpc_port: int | None = None
    """Where the proxy takes gRPC; None for nowhere."""
    balance_factor: int = 150
    """How many of all requests under way a gateway may have, in percent of its share; what is more goes to the next."""
    replays: bool = False
    """True where a prediction is sent to another gateway also if the connection ended before there was an answer. A run
    may be made twice then, which changes nothing; a request that ends processes ends one in more than one gateway. What
    may change something is sent once."""
    dns: bool = False
    """True where hosts are names that come and go: the proxy looks them up again and again, and starts without them."""
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        if not self.gateways:
            raise ValueError("there is no gateway: name at least one")
        for servers in (self.gateways, self.registries):
            _refuse_twins("id", [str(server.id) for server in servers])
            _refuse_twins("name", [server.name for server in servers])
        self._refuse_shared_addresses()
        if not _LEAST_FACTOR <= self.balance_factor <= _GREATEST_FACTOR:
            raise ValueError(
                f"{self.balance_factor} is no balance factor: it is a percentage from {_LEAST_FACTOR} to "
                f"{_GREATEST_FACTOR}, of what a gateway would have if all had the same"
            )
        if self.host != _EVERY_ADDRESS:
            _check_host(self.host)
        for port in (self.port, self.grpc_port):
            _check_port(port)
        if self.port == self.grpc_port:
            raise ValueError(f"the proxy takes HTTP at port {self.port} already; gRPC has another one")
        without = [gateway.name for gateway in self.gateways if gateway.grpc_port is None]
        if self.grpc_port is not None and without:
            raise ValueError(f"the proxy takes gRPC, and {', '.join(without)} has no port for it")

    def _refuse_shared_addresses(self) -> None:
        addresses = [server.address for server in (*self.gateways, *self.registries)]
        if self.grpc_port is not None:
            addresses += [gateway.grpc_address for gateway in self.gateways if gateway.grpc_address is not None]
        _refuse_twins("address", addresses)

    @property
    def has_roles(self) -> bool:
        """True where predictions and the registry are served by different processes."""
        return bool(self.registries)


def address(host: str, port: int) -> str:
    """Return host and port in one, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_server(text: str, *, position: int, kind: str, settings: Settings) -> Server:
    """Read ``[ID=]HOST[:PORT[/GRPC_PORT]]``, an IPv6 address in brackets; what is left out comes of the settings.

    Args:
        text: as above.
        position: which of the list it is, from 1: its id, if it says none.
        kind: what it is called, before its id.
        settings: of the gateways.

    Raises:
        ValueError: it is none.
    """
    match = re.fullmatch(r"(?:([0-9]+)=)?(?:\[([0-9a-fA-F:]+)\]|([^:/\[\]=]+))(?::([0-9]+)(?:/([0-9]+))?)?", text)
    if match is None:
        raise ValueError(f"{text!r} is no address: write [ID=]HOST[:PORT[/GRPC_PORT]], such as 2=10.0.0.2:8000/8001")
    number = int(match[1] or position)
    return Server(
        id=number,
        name=f"{kind}{number}",
        host=match[2] or match[3],
        port=int(match[4] or settings.port),
        grpc_port=int(match[5]) if match[5] else settings.grpc_port or None,
    )


def _refuse_twins(what: str, values: list[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"two servers have the {what} {value}")


def _check_host(host: str) -> None:
    if _HOST.fullmatch(host) is None:
        raise ValueError(f"{host!r} is no host: write a name or an address")


def _check_port(port: int | None) -> None:
    if port is not None and not 1 <= port <= 65535:  # noqa: PLR2004 - what TCP has
        raise ValueError(f"{port} is no port: ports go from 1 to 65535")
