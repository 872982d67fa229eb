"""What a proxy is told of a request that another gateway may answer: this one did not even begin to run it.

1. A proxy asks for it by a header, which it sets itself: what callers say there it overwrites. Whoever asks a gateway
   directly and sends it is told the same, and nothing more.
2. It is said of refusals whose reason lies in this gateway, not in the request: the registry or the store does not
   answer, there is no room, the version does not load. Not of full queues: sending those on would spread an overload.
3. Never once a run has begun: a request that ends processes is not to meet all of them.
4. HAProxy looks at a status, so it asks for one (``425``). Others look at a header.
"""

from typing import Final

from gateway.placement.elsewhere import ASKING, STATUS
from gateway.web.exchange import Exchange
from registry import errors
from registry.errors import ServiceError

_NAME: Final = ASKING.encode("ascii")
_AS_STATUS: Final = str(STATUS).encode("ascii")
_OUR_OWN: Final = (
    errors.RegistryUnavailable,
    errors.RegistryBusy,
    errors.SchemaMismatch,
    errors.StorageUnavailable,
    errors.InsufficientStorage,
    errors.ArtifactMissing,
    errors.ArtifactCorrupt,
    errors.InsufficientMemory,
    errors.LoadFailed,
    errors.Draining,
)


def may_go_elsewhere(exchange: Exchange, error: ServiceError) -> bool:
    """Return whether a proxy has asked, and another gateway may answer what this one refuses."""
    return _NAME in exchange.headers and isinstance(error, _OUR_OWN) and not exchange.moments.run_began


def mark(exchange: Exchange, error: ServiceError, status: int, headers: list[tuple[bytes, bytes]]) -> int:
    """Return the status that a refusal has for the proxy, and add to its headers what others look at."""
    if not may_go_elsewhere(exchange, error):
        return status
    headers.append((_NAME, b"yes"))
    return STATUS if exchange.headers[_NAME] == _AS_STATUS else status
