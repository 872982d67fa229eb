"""The placement key of a request: what a proxy hashes, so that each version is asked of the few gateways that hold it.

1. The key is what the request says: the model, and the version's number or the alias's name. A proxy knows of no
   promotion, so an alias and the number that it leads to have keys of their own; a promotion moves no key.
2. Every dialect that names the same model and version has the same key. What names none, such as a list, has no key,
   and any gateway answers it.
3. A proxy works the key out by ``SHAPES``: patterns and replacements that PCRE, RE2 and Python read alike, applied to
   the path, percent-decoded and without its query; the first that fits decides.
4. A gRPC message is read by HAProxy itself; other proxies take the key from metadata (``KEY_HEADER``).

A key decides where a request goes and nothing else: whoever makes one up costs the gateways a load, no more than by
asking for another model.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from registry.names import PRODUCTION

KEY_HEADER: Final = "x-placement-key"
"""The header, or the metadata of a call over gRPC, in which a caller may name the key: ``iris/3``."""

GRPC_INFER: Final = "/inference.GRPCInferenceService/ModelInfer"
"""The call whose message begins with the model's name (field 1) and its version (field 2)."""


@dataclass(frozen=True, slots=True)
class Shape:
    r"""Paths that are alike: a pattern for all of the path, and the key with ``\1`` and ``\2`` for its groups."""

    name: str
    pattern: str
    key: str


SHAPES: Final = (
    Shape("native-version", r"^/v([0-9]+)/models/([^/@]+)/(predict|validate)$", r"\2/\1"),
    Shape("native-alias", r"^/models/([^/@]+)@([^/]+)/(predict|validate)$", r"\1/\2"),
    Shape("native", r"^/models/([^/@]+)/(predict|validate)$", rf"\1/{PRODUCTION}"),
    Shape("open-inference-version", r"^/v2/models/([^/]+)/versions/([^/]+)/(infer|ready|config|stats)$", r"\1/\2"),
    Shape("open-inference", r"^/v2/models/([^/]+)/(infer|ready|config|stats)$", rf"\1/{PRODUCTION}"),
    Shape("tensorflow-default", r"^/v1/models/([^/:]+)(/versions/0)?(:predict|/metadata)$", rf"\1/{PRODUCTION}"),
    Shape("tensorflow-version", r"^/v1/models/([^/:]+)/versions/([^/:]+)(:predict|/metadata)$", r"\1/\2"),
    Shape("tensorflow-label", r"^/v1/models/([^/:]+)/labels/([^/:]+)(:predict|/metadata)$", r"\1/\2"),
)
"""Every shape of path that has a key. Native requests come first: ``/v2/models/iris/predict`` means version 2."""

_READY: Final = tuple((re.compile(shape.pattern), shape.key) for shape in SHAPES)


def key_of(model: str, version: str) -> str:
    """Return the key of requests for a model and what they say of its version.

    Args:
        model: its name.
        version: a version's number, an alias's name, or nothing for what is promoted.
    """
    return f"{model}/{version or PRODUCTION}"


def key_of_path(path: str) -> str | None:
    """Return the key of a request for ``path``, which may be percent-encoded; None if it names no model."""
    decoded = unquote(path, errors="replace")
    for pattern, key in _READY:
        match = pattern.search(decoded)
        if match is not None:
            return match.expand(key)
    return None
