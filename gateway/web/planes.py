"""Which requests a role answers: predictions are the business of gateways, changes that of a registry.

1. A gateway answers predictions in every dialect, and what callers read to make them: names, signatures, documents. Of
   what administrators ask, it answers what concerns its own models: ``/v2/repository``, whose ``load`` and ``unload``
   leave a line in the feed, over HTTP as over gRPC. Nothing else that it answers changes the registry.
2. A registry answers all that is below ``/registry`` and ``/console``.
3. Health, metrics and documentation both answer. So is what neither has a route for: it is not found in either.
4. What a role does not answer is refused before anything else is done, with a problem that says where it is answered.
"""

import re
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from registry.errors import ServedElsewhere

ServerRole: TypeAlias = Literal["all", "gateway", "registry"]
"""What a process serves: everything, predictions, or what changes and watches the registry."""


class Plane(Enum):
    """Whose business a request is."""

    DATA = "data"
    CONTROL = "control"
    BOTH = "both"


_DATA: Final = re.compile(r"(?:/v[^/]*)?/models(?:/.*)?|/v2(?:/.*)?", re.DOTALL)
_CONTROL: Final = re.compile(r"/(?:registry|console)(?:/.*)?", re.DOTALL)
_READ_BY_CALLERS: Final = re.compile(
    r"/registry/models(?:/[^/]+(?:/versions(?:/[^/]+(?:/openapi\.json|/snippets|/examples)?)?|/aliases/[^/]+)?)?"
)
_COUNTED_BY_GATEWAYS: Final = re.compile(r"/registry/models/[^/]+/versions/[^/]+/inputs")
_READING: Final = frozenset({"GET", "HEAD"})

_NOT_A_REGISTRY: Final = (
    "this process has the role 'gateway' and answers predictions; the registry, its console and its feed are served by "
    "processes with the role 'registry' or 'all'"
)
_NOT_A_GATEWAY: Final = (
    "this process has the role 'registry' and loads no models; predictions, and what other protocols tell of models, "
    "are served by processes with the role 'gateway' or 'all'"
)
_REFUSED: Final[Mapping[str, tuple[Plane, str]]] = MappingProxyType(
    {"gateway": (Plane.CONTROL, _NOT_A_REGISTRY), "registry": (Plane.DATA, _NOT_A_GATEWAY)}
)


def plane_of(method: str, path: str) -> Plane:
    """Return whose business a request is, by its method and its decoded path."""
    if _DATA.fullmatch(path) or _COUNTED_BY_GATEWAYS.fullmatch(path):
        return Plane.DATA
    if _CONTROL.fullmatch(path) and not (method in _READING and _READ_BY_CALLERS.fullmatch(path)):
        return Plane.CONTROL
    return Plane.BOTH


def check_plane(role: ServerRole, method: str, path: str) -> None:
    """Do nothing if a process of this role answers such a request.

    Raises:
        ServedElsewhere: it does not; the detail says who does.
    """
    refused = _REFUSED.get(role)
    if refused is not None and plane_of(method, path) is refused[0]:
        raise ServedElsewhere(refused[1])
