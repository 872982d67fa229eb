"""Predict bodies as TensorFlow Serving's REST has them, which is KServe's version 1 as well.

1. ``instances`` are rows, ``inputs`` are columns; both mean what they mean in our own bodies (``gateway.codec.forms``),
   and whatever is accepted there is accepted here, with the same arrays. ``outputs`` and ``id`` are not this dialect's.
2. It has three things more. A row may name its input where the model has only one. Text may be the base64 of its UTF-8:
   ``{"b64": "aGk="}``. ``NaN``, ``Infinity`` and ``-Infinity`` may stand without quotes, as Python writes them.
3. Such text and such words are of types of their own until it is known which tensor they stand in: a word without
   quotes is no text, and base64 is no number.
"""

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import msgspec

from gateway.codec.assembly import assemble
from gateway.codec.body import Array, PredictBody
from gateway.codec.elements import describe, quoted_words, read_elements
from gateway.codec.forms import Inputs, find_inputs
from gateway.codec.json_tensors import JsonCodec
from gateway.codec.limits import MAX_ELEMENTS, MAX_NAMED
from gateway.codec.nesting import Leaves
from gateway.codec.strict_json import BareWord, make_decoder, members_of, parse_strictly
from gateway.codec.tensorflow_answers import rows_faults
from registry.errors import SignatureMismatch, TooManyElements, Violation
from registry.names import quoted
from registry.signature import Signature, pointer_token, shortened

SIGNATURE_NAME = "serving_default"
"""The one signature that a model has."""

_FIELDS = ("instances", "inputs", "signature_name")
_BEGIN = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"(inputs|instances)"')
_SIGNED = re.compile(rb'\s*\{\s*"signature_name"\s*:\s*"serving_default"\s*,'.replace(rb"\s", rb"[ \t\r\n]"))


class _Base64(str):
    __slots__ = ()


def decode_quickly(signature: Signature, codec: JsonCodec, body: bytes) -> PredictBody | None:
    """Return what a body says, or None if it takes ``decode`` to tell that, or what is wrong with it.

    ``reply`` is how many rows there are, None if the answer is to be in columns.
    """
    signed = _SIGNED.match(body)
    if signed is not None:  # the rest is a body by itself
        body = b"{%b" % body[signed.end() :]
    request = codec.decode_quickly(body)
    if request is None or request.outputs is not None or request.id is not None:
        return None
    begin = _BEGIN.match(body)  # the only member that there can be
    if begin is None or not request.feed:
        return None
    if begin[1] == b"inputs":
        return request
    count = next(iter(request.feed.values())).shape[0]
    return None if rows_faults(signature, count) else msgspec.structs.replace(request, reply=count)


def decode(signature: Signature, codec: JsonCodec, body: bytes) -> PredictBody:
    """Return what a body says; ``reply`` as ``decode_quickly`` has it.

    Args:
        signature: of the version.
        codec: the version's own.
        body: as it came.

    Raises:
        UndecodableBody: it is not strict JSON.
        TooManyElements: its tensors hold more elements than one request may bring.
        SignatureMismatch: it does not fit the signature; carries every violation.
    """
    document = parse_strictly(body, _DECODER)
    if not isinstance(document, dict):
        raise SignatureMismatch([_invalid_field("", "an object", document)])
    faults = _field_faults(document)
    rows = document.get("instances")
    count = len(rows) if isinstance(rows, list) else None
    if not faults and not all(spec.is_tensor for spec in signature.inputs) and "signature_name" not in document:
        feed = codec.decode(body).feed
    else:
        feed = _read(signature, document, faults)
    if count is not None and (found := rows_faults(signature, count)):
        raise SignatureMismatch(found)
    return PredictBody(feed, None, None, count)


def _read(signature: Signature, document: dict[str, Any], faults: list[Violation]) -> dict[str, Array]:
    inputs = _find(signature, document)
    if inputs.faults:
        raise SignatureMismatch([*faults, *inputs.faults])
    _refuse_too_many(inputs)
    tensors: dict[str, Array | None] = {}
    for tensor in inputs.tensors:
        tensors[tensor.spec.name], found = _read_tensor(tensor)
        faults = faults + found
    tensors |= dict.fromkeys(inputs.unknown)
    places = {name: inputs.pointer_of(name) for name in tensors}
    return assemble(signature, tensors, faults=faults, places=places, base=inputs.base)


def _find(signature: Signature, document: Mapping[str, Any]) -> Inputs:
    rows = document.get("instances")
    is_named = isinstance(rows, list) and any(isinstance(row, dict) for row in rows)
    if len(signature.inputs) != 1 or not is_named:
        return find_inputs(signature, document)
    # Rows are objects where there are several inputs: so there are two, of the same name.
    found = find_inputs(replace(signature, inputs=signature.inputs * 2), document)
    return replace(found, tensors=found.tensors[:1])


def _refuse_too_many(inputs: Inputs) -> None:
    count = sum(len(tensor.elements) for tensor in inputs.tensors)
    if count > MAX_ELEMENTS:
        expected, received = f"at most {MAX_ELEMENTS} elements in one request", f"{count} elements"
        raise TooManyElements(
            [Violation(path=inputs.base, expected=expected, received=received, code=TooManyElements.code)]
        )


def _read_tensor(tensor: Leaves) -> tuple[Array | None, list[Violation]]:
    tensor, undecoded = _with_its_own(tensor)
    array, found = read_elements(tensor.spec.dtype, tensor.elements)
    faults = [*tensor.faults, *undecoded, *(fault.at(tensor.pointer_of(fault.index)) for fault in found)]
    return (None if tensor.shape is None else array.reshape(tensor.shape)), faults


def _with_its_own(tensor: Leaves) -> tuple[Leaves, list[Violation]]:
    """Return a tensor with its elements as our own bodies have them, if the dialect has them for its type."""
    kinds = set(map(type, tensor.elements))
    if tensor.spec.dtype.kind == "f" and BareWord in kinds:
        return replace(tensor, elements=quoted_words(tensor.spec.dtype, tensor.elements)), []
    if tensor.spec.dtype.kind != "O" or _Base64 not in kinds:
        return tensor, []
    faults: list[Violation] = []
    texts = list(tensor.elements)
    for index, leaf in enumerate(tensor.elements):
        if type(leaf) is _Base64:
            text = _text_of(leaf)
            texts[index] = text or ""
            if text is None and len(faults) < MAX_NAMED:
                expected, received = "the base64 of text in UTF-8", quoted(leaf)
                path = f"{tensor.pointer_of(index)}/b64"
                faults.append(Violation(path=path, expected=expected, received=received, code="invalid_dtype"))
    return replace(tensor, elements=texts), faults


def _text_of(encoded: str) -> str | None:
    try:
        return b64decode(encoded, validate=True).decode("utf-8")
    except ValueError:
        return None


def _field_faults(document: Mapping[str, object]) -> list[Violation]:
    faults = [
        Violation(
            path=f"/{pointer_token(shortened(key))}",
            expected="one of " + ", ".join(_FIELDS),
            received=shortened(key),
            code="unknown_field",
        )
        for key in islice((key for key in document if key not in _FIELDS), MAX_NAMED)
    ]
    name = document.get("signature_name", "")
    if type(name) is not str or name not in ("", SIGNATURE_NAME):
        faults.append(_invalid_field("/signature_name", f'"{SIGNATURE_NAME}", or nothing', name))
    return faults


def _invalid_field(path: str, expected: str, value: object) -> Violation:
    return Violation(path=path, expected=expected, received=describe(value), code="invalid_field")


def _members(pairs: list[tuple[str, Any]]) -> Any:
    members = members_of(pairs)
    only = members.get("b64") if len(members) == 1 else None
    return _Base64(only) if type(only) is str else members


_DECODER = make_decoder(word=BareWord, members=_members)
