"""What the refusal of a predict body teaches: a body that the version would have taken, in the caller's own dialect.

It is made when the first body for a version is refused in that dialect, and kept: requests that are right pay nothing.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from gateway.codec.examples import Body, native_example, open_inference_example, tensorflow_example
from gateway.web.endpoint import Endpoint
from gateway.web.paths import Dialect
from registry.errors import ServiceError, SignatureMismatch, UndecodableBody
from registry.records import Version
from registry.signature import Signature

Lesson = Mapping[str, Any]
"""Either an ``example``, or the ``example_url`` of where larger ones are shown."""


def lesson_of(error: ServiceError, endpoint: Endpoint | None, dialect: Dialect) -> Lesson | None:
    """Return what to add to the refusal; None where it is not the body that was wrong, or nobody knows for what."""
    if endpoint is None or not isinstance(error, SignatureMismatch | UndecodableBody):
        return None
    return endpoint.compiled(_COMPILERS[dialect])


def snippets_path(version: Version) -> str:
    """Return where the snippets of a version are."""
    return f"/registry/models/{version.model}/versions/{version.number}/snippets"


def _compile(build: Callable[[Signature], Body | None], version: Version) -> Lesson:
    example = build(version.signature)
    return {"example_url": snippets_path(version)} if example is None else {"example": example}


_COMPILERS: Mapping[Dialect, Callable[[Version], Lesson]] = MappingProxyType(
    {
        Dialect.NATIVE: partial(_compile, native_example),
        Dialect.OPEN_INFERENCE: partial(_compile, open_inference_example),
        Dialect.TENSORFLOW: partial(_compile, tensorflow_example),
    }
)
