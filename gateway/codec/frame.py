"""What a predict body holds besides its tensors, as msgspec has types for it."""

from types import GenericAlias
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from gateway.codec.limits import MAX_ID_CHARS
from registry.signature import Signature


def list_of(element: Any) -> Any:
    """Return the type of a list of such elements, where the element type is known at run time only."""
    return GenericAlias(list, (element,))


def frame_fields(signature: Signature) -> list[tuple[str, Any, Any]]:
    """Return name, type and default of ``id`` and ``outputs``; that outputs come once each is not part of the type."""
    names = tuple(spec.name for spec in signature.outputs)
    outputs: Any = Annotated[list_of(Literal[names]), Meta(min_length=1)] if names else UnsetType
    identity: Any = Annotated[str, Meta(max_length=MAX_ID_CHARS)]
    return [("id", identity | UnsetType, UNSET), ("outputs", outputs | UnsetType, UNSET)]
