"""What one does with a version on its page: try it by a form made of its signature, copy a program that calls it."""

from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request

from gateway.codec.examples import MOST_SHOWN, Body, count_elements, whole_example
from gateway.web.console.columns import columns_of, has_input_for_each_column
from gateway.web.console.pages import exchange_of, services_of
from gateway.web.schemes import base_url
from gateway.web.snippets import snippets_json
from registry.examples import Examples
from registry.records import Version
from registry.signature import Signature
from registry.tensor import TensorSpec

_CHANNELS = (1, 3, 4)
_PICTURE_RANKS = (3, 4)
_MOST_SIZES = 32
"""Of a form; what has more free dimensions is tried with sizes of 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One input of the form."""

    id: str
    name: str
    type: str
    hint: str
    may_be_absent: bool
    sources: tuple[tuple[str, str], ...]
    """How its value may be given: a word and a title each."""
    example: str
    """A value in JSON that it takes; empty if that is too long."""
    spec: str
    """What the page's script has to know, as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """All that the page's tools show."""

    fields: tuple[Field, ...]
    takes_table: bool
    """Whether one pasted table can fill in all fields."""
    sizes: tuple[tuple[str, str], ...]
    """The free dimensions: a key for the page's script, and a name for people, each once."""
    outputs: str
    """The specs of the outputs, as JSON."""
    examples: tuple[str, ...]
    """The names of the golden examples."""
    snippets: dict[str, Any]


def tools_of(request: Request, version: Version, examples: Examples) -> Tools:
    """Return what the page of a version shows, which has these golden examples."""
    signature = version.signature
    body = whole_example(signature) if count_elements(signature) <= MOST_SHOWN else None
    columns = columns_of(version)
    return Tools(
        fields=tuple(_field(place, spec, body, columns.get(spec.name)) for place, spec in enumerate(signature.inputs)),
        takes_table=has_input_for_each_column(signature),
        sizes=tuple(_sizes(signature).items())[:_MOST_SIZES],
        outputs=_json([_told(spec) for spec in signature.outputs]),
        examples=tuple(example.name for example in examples.items),
        snippets=snippets_json(
            version,
            base_url=base_url(exchange_of(request).headers),
            has_tokens=services_of(request).settings.is_auth_on,
        ),
    )


def _field(place: int, spec: TensorSpec, body: Body | None, columns: list[str] | None) -> Field:
    has_example = body is not None and spec.name in body["inputs"]
    return Field(
        id=f"input-{place}",
        name=spec.name,
        type=str(spec),
        hint=_hint(spec),
        may_be_absent=spec.may_be_absent,
        sources=_sources(spec),
        example=_json(body["inputs"][spec.name]) if has_example and body is not None else "",
        spec=_json({**_told(spec), "columns": columns}),
    )


def _hint(spec: TensorSpec) -> str:
    """Say in words what a value is made of."""
    dtype = spec.dtype
    if dtype.kind in "iu":
        return f"Whole numbers from {dtype.least} to {dtype.most}."
    if dtype.kind == "f":
        return 'Numbers; also "NaN", "Infinity" and "-Infinity".'
    return "true or false." if dtype.kind == "b" else "Text, each in double quotes."


def _sources(spec: TensorSpec) -> tuple[tuple[str, str], ...]:
    found = [("json", "JSON")]
    if spec.is_tensor:
        found += [("csv", "CSV"), ("npy", ".npy file")]
    if _may_be_picture(spec):
        found.append(("image", "Image"))
    return tuple(found)


def _may_be_picture(spec: TensorSpec) -> bool:
    """Tell whether an input has three channels, one or four, before or behind a height and a width."""
    shape = spec.shape
    if not spec.is_tensor or shape is None or len(shape) not in _PICTURE_RANKS or spec.dtype.kind not in "fiu":
        return False
    is_one_row = len(shape) == _PICTURE_RANKS[0] or not isinstance(shape[0], int) or shape[0] == 1
    return is_one_row and not spec.dtype.is_foreign and (shape[-3] in _CHANNELS or shape[-1] in _CHANNELS)


def _sizes(signature: Signature) -> dict[str, str]:
    """Return the name of each free dimension by its key: that which it has, or its place in its input."""
    return {
        (f"{spec.name}/{axis}" if dim is None else dim): (f"{spec.name}[{axis}]" if dim is None else dim)
        for spec in signature.inputs
        if spec.is_tensor and not spec.optional
        for axis, dim in enumerate((None,) if spec.shape is None else spec.shape)
        if not isinstance(dim, int)
    }


def _told(spec: TensorSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "dtype": spec.dtype.name,
        "shape": None if spec.shape is None else list(spec.shape),
        "optional": spec.optional,
        "containers": list(spec.containers),
        "text": str(spec),
    }


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
