"""What a proxy is told of a request that another gateway may answer: this one did not even begin to run it.

1. A proxy asks for it by a header, which it sets itself: what callers say there it overwrites. Whoever asks a gateway
   directly and sends it is told the same, and nothing more.
2. It is said of refusals whose reason lies in this gateway, not in the request: the registry or the store does not
   answer, there is no room, the version does not load. Not of full queues: sending those on would spread an overload.
3. Never once a run has begun: a request that ends processes is not to meet all of them.
4. Only soon after the request has come: whoever has waited here until its deadline would wait as long in each of the
   others, and a refusal after a long wait for memory or for a load is an overload of the kind that is not to spread.
   A database or a store that says nothing is given up later than that.
5. HAProxy looks at a status, so it asks for one (``425``). Others look at a header.
"""

from time import monotonic
from typing import Final

from gateway.placement.elsewhere import ASKING, STATUS
from gateway.web.exchange import Exchange
from registry import errors
from registry.errors import ServiceError

_NAME: Final = ASKING.encode("ascii")
_AS_STATUS: Final = str(STATUS).encode("ascii")
_SOON_SECONDS: Final = 2.0
_SILENT_SECONDS: Final = 15.0
"""More than a database is waited for (``registry.sql.engine.BUSY_TIMEOUT_SECONDS``, and a second), and than it takes to
find out that the store's host is gone (``model_store.s3.client.Patience``: one silent answer, two connections)."""
_SILENT: Final = (errors.RegistryUnavailable, errors.RegistryBusy, errors.StorageUnavailable)
_OUR_OWN: Final = (
    *_SILENT,
    errors.SchemaMismatch,
    errors.InsufficientStorage,
    errors.ArtifactMissing,
    errors.ArtifactCorrupt,
    errors.InsufficientMemory,
    errors.LoadFailed,
    errors.Draining,
)


def may_go_elsewhere(exchange: Exchange, error: ServiceError) -> bool:
    """Return whether a proxy has asked, and another gateway may answer what this one refuses."""
    if _NAME not in exchange.headers or not isinstance(error, _OUR_OWN) or exchange.moments.run_began:
        return False
    limit = _SILENT_SECONDS if isinstance(error, _SILENT) else _SOON_SECONDS
    return monotonic() - exchange.started < limit


def mark(exchange: Exchange, error: ServiceError, status: int, headers: list[tuple[bytes, bytes]]) -> int:
    """Return the status that a refusal has for the proxy, and add to its headers what others look at."""
    if not may_go_elsewhere(exchange, error):
        return status
    headers.append((_NAME, b"yes"))
    return STATUS if exchange.headers[_NAME] == _AS_STATUS else status
