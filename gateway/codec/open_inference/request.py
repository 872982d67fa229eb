"""Infer requests, exactly: every fault is named, and this alone decides what is accepted.

1. The body is JSON, and after it the bytes of those tensors that say ``binary_data_size``, in their order.
2. ``data`` is nested as the shape says, or flat in row-major order; its elements are taken as in Sardonyx's own JSON.
3. A raw request has no JSON at all: the whole body is the version's only input. Texts have no length there: the body is
   the one text of a tensor [1].
4. Fields that the protocol does not have, and parameters that this server does not know, are passed over: clients send
   what only other servers understand.
"""

from collections.abc import Mapping, Sequence
from math import prod

from gateway.codec.assembly import assemble
from gateway.codec.body import Array, PredictBody
from gateway.codec.elements import describe
from gateway.codec.limits import MAX_ELEMENTS, MAX_NAMED
from gateway.codec.open_inference.declared import Declared, declare
from gateway.codec.open_inference.reply import BINARY, invalid, read_id, read_outputs
from gateway.codec.open_inference.values import read_values
from gateway.codec.open_inference.words import Words, unsupported
from gateway.codec.raw_tensors import BytesDoNotFit, read_raw
from gateway.codec.strict_json import BareWord, make_decoder, parse_strictly
from registry.errors import InvalidRequest, SignatureMismatch, TooManyElements, Violation
from registry.tensor import TensorSpec


def decode_exactly(words: Words, body: bytes, header_bytes: int | None) -> PredictBody:
    """Return what a request says.

    Args:
        words: of the version.
        body: inflated.
        header_bytes: how much of it is JSON; 0 for a raw request, None if all of it is.

    Raises:
        UndecodableBody: the JSON is not strict JSON.
        InvalidRequest: the body is shorter than its own JSON.
        TooManyElements: the tensors together hold more elements than one request may bring.
        SignatureMismatch: the request does not fit the signature; all of its violations.
    """
    if words.hindrances:
        raise SignatureMismatch(words.hindrances)
    if header_bytes == 0:
        return _decode_raw(words, body)
    head, tail = split(body, header_bytes)
    document = parse_strictly(head, _DECODER)
    if not isinstance(document, dict):
        raise SignatureMismatch([invalid("", "an object", describe(document))])
    asked = read_outputs(words, document)
    identity, faults = read_id(document)
    declared, found = _read_inputs(words, document)
    faults += found
    _refuse_too_many(declared)
    tensors, found = read_values(declared, tail)
    faults += [*found, *asked.faults]
    places = {tensor.name: tensor.path for tensor in declared}
    feed = assemble(words.signature, tensors, faults=faults, places=places)
    return PredictBody(feed, asked.names, identity, asked.reply)


_DECODER = make_decoder(word=BareWord)
"""Triton's client writes NaN as Python's ``json`` does; in tensors of floats it is as good as in quotation marks."""


def split(body: bytes, header_bytes: int | None) -> tuple[bytes, memoryview]:
    """Return the JSON of a body, and what follows it.

    Raises:
        InvalidRequest: there is less than that.
    """
    if header_bytes is None:
        return body, memoryview(b"")
    if header_bytes > len(body):
        raise InvalidRequest(
            f"Inference-Header-Content-Length says {header_bytes} bytes of JSON, but the body has {len(body)} bytes"
        )
    return body[:header_bytes], memoryview(body)[header_bytes:]


def _read_inputs(words: Words, document: Mapping[str, object]) -> tuple[list[Declared], list[Violation]]:
    value = document.get("inputs")
    if not isinstance(value, list):
        received = describe(value) if "inputs" in document else "nothing"
        return [], [invalid("/inputs", "a list of tensors", received)]
    declared: list[Declared] = []
    faults: list[Violation] = []
    seen: set[str] = set()
    for index, item in enumerate(value[: len(words.signature.inputs) + MAX_NAMED]):
        tensor, found = declare(words, item, f"/inputs/{index}")
        faults += found
        if tensor is None:
            continue
        if tensor.name in seen:
            faults.append(invalid(f"{tensor.path}/name", "each input once", f"{describe(tensor.name)} again"))
            continue
        seen.add(tensor.name)
        declared.append(tensor)
    return declared, faults


def _refuse_too_many(declared: Sequence[Declared]) -> None:
    count = sum(len(tensor.leaves.elements) for tensor in declared if tensor.leaves is not None)
    if count > MAX_ELEMENTS:
        expected, received = f"at most {MAX_ELEMENTS} elements in one request", f"{count} elements"
        fault = Violation(path="/inputs", expected=expected, received=received, code=TooManyElements.code)
        raise TooManyElements([fault])


def _decode_raw(words: Words, body: bytes) -> PredictBody:
    if len(words.signature.inputs) != 1:
        expected = f"JSON that names the {len(words.signature.inputs)} inputs"
        raise SignatureMismatch([invalid("/inputs", expected, "a raw request, which can bring one tensor only")])
    (spec,) = words.signature.inputs
    if spec.name not in words.datatypes:
        raise SignatureMismatch([unsupported("/inputs/0", spec)])
    try:
        array = _only_text(spec, body) if spec.dtype.kind == "O" else read_raw(spec.dtype, body, _raw_shape(spec, body))
    except BytesDoNotFit as fault:
        found = Violation(path="/inputs/0", expected=fault.expected, received=fault.received, code=fault.code)
        raise SignatureMismatch([found]) from fault
    feed = assemble(words.signature, {spec.name: array}, places={spec.name: "/inputs/0"})
    return PredictBody(feed, words.all_outputs, None, BINARY)


def _only_text(spec: TensorSpec, body: bytes) -> Array:
    return read_raw(spec.dtype, len(body).to_bytes(4, "little") + body, (1,))


def _raw_shape(spec: TensorSpec, body: bytes) -> tuple[int, ...]:
    """Return the shape with its one free dimension made from the length of the body."""
    free = [axis for axis, dim in enumerate(spec.shape or ()) if not isinstance(dim, int)]
    if spec.shape is None or len(free) > 1:
        raise BytesDoNotFit("JSON that gives the shape: it has more than one free dimension", "a raw request")
    fixed = prod(dim for dim in spec.shape if isinstance(dim, int))
    count = len(body) // (fixed * spec.dtype.numpy.itemsize) if fixed else 0
    return tuple(dim if isinstance(dim, int) else count for dim in spec.shape)
