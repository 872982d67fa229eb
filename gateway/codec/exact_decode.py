"""The second parse: slow, exact, and able to name everything that is wrong with a body.

1. It alone decides what is accepted; ``gateway.codec.fast_decode`` may only accept what is accepted here, with the
   same arrays.
2. Tensors are found, taken apart and counted before any of them is converted, so that too many elements cost no
   conversion.
3. All violations are collected: of the body's fields first, then of the tensors in the order of the signature, a
   tensor's elements before its shape, unknown names last; then of the outputs asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from gateway.codec.body import Array, PredictBody
from gateway.codec.elements import describe, read_elements
from gateway.codec.forms import Inputs, find_inputs
from gateway.codec.limits import MAX_ELEMENTS, MAX_ID_CHARS, MAX_NAMED
from gateway.codec.nesting import Leaves
from gateway.codec.strict_json import parse_strictly
from registry.errors import SignatureMismatch, TooManyElements, Violation
from registry.names import quoted
from registry.signature import Signature, pointer_token, shortened

_FIELDS = ("inputs", "instances", "outputs", "id")


def decode_exactly(signature: Signature, body: bytes) -> PredictBody:
    """Return what the body says.

    Raises:
        UndecodableBody: the body is not strict JSON.
        TooManyElements: the tensors together hold more than ``MAX_ELEMENTS``.
        SignatureMismatch: the body does not fit the signature; all of its violations.
    """
    document = parse_strictly(body)
    if not isinstance(document, dict):
        raise SignatureMismatch([_invalid_field("", "an object", describe(document))])
    inputs = find_inputs(signature, document)
    _refuse_too_many(inputs)
    feed, tensor_faults = _read_tensors(signature, inputs)
    outputs, output_faults = _read_outputs(signature, document)
    identity, id_faults = _read_id(document)
    faults = [*_unknown_fields(document), *id_faults, *inputs.faults, *tensor_faults, *output_faults]
    if faults:
        raise SignatureMismatch(faults)
    return PredictBody(feed, outputs, identity)


def _refuse_too_many(inputs: Inputs) -> None:
    counts = {tensor.spec.name: len(tensor.elements) for tensor in inputs.tensors}
    counts |= {wrapped.spec.name: wrapped.count for wrapped in inputs.wrapped}
    count = sum(counts.values())
    if count > MAX_ELEMENTS:
        expected = f"at most {MAX_ELEMENTS} elements in one request"
        path, received = inputs.pointer_of(max(counts, key=lambda name: counts[name])), f"{count} elements"
        raise TooManyElements([Violation(path=path, expected=expected, received=received, code=TooManyElements.code)])


def _read_tensors(signature: Signature, inputs: Inputs) -> tuple[dict[str, Any], list[Violation]]:
    if inputs.faults:
        return {}, []
    feed: dict[str, Any] = {}
    shapes: dict[str, tuple[int, ...] | None] = {}
    unknown = inputs.unknown[:MAX_NAMED]
    names = [*(spec.name for spec in signature.inputs), *unknown]
    faults: dict[str, list[Violation]] = {f"/inputs/{pointer_token(name)}": [] for name in names}
    for tensor in inputs.tensors:
        array, found = _read_tensor(tensor)
        feed[tensor.spec.name], shapes[tensor.spec.name] = array, tensor.shape
        faults[f"/inputs/{pointer_token(tensor.spec.name)}"] += found
    for wrapped in inputs.wrapped:
        name = wrapped.spec.name
        feed[name], found = wrapped.read()
        shapes[name] = None
        faults[f"/inputs/{pointer_token(name)}"] += found
    shapes.update(dict.fromkeys(unknown))
    places = dict(zip(faults, map(inputs.pointer_of, names), strict=True))
    for violation in signature.check(shapes):
        faults[violation.path].append(replace(violation, path=places[violation.path]))
    ordered = {spec.name: feed[spec.name] for spec in signature.inputs if spec.name in feed}
    return ordered, list(chain(*faults.values()))


def _read_tensor(tensor: Leaves) -> tuple[Array, list[Violation]]:
    array, found = read_elements(tensor.spec.dtype, tensor.elements)
    faults = [*tensor.faults, *(fault.at(tensor.pointer_of(fault.index)) for fault in found)]
    return (array if tensor.shape is None else array.reshape(tensor.shape)), faults


def _unknown_fields(document: Mapping[str, object]) -> list[Violation]:
    return [
        Violation(
            path=f"/{pointer_token(shortened(key))}",
            expected="one of " + ", ".join(_FIELDS),
            received=shortened(key),
            code="unknown_field",
        )
        for key in islice((key for key in document if key not in _FIELDS), MAX_NAMED)
    ]


def _read_outputs(
    signature: Signature, document: Mapping[str, object]
) -> tuple[tuple[str, ...] | None, list[Violation]]:
    if "outputs" not in document:
        return None, []
    value = document["outputs"]
    if not isinstance(value, list) or not value:
        return None, [_invalid_field("/outputs", "a list of output names", describe(value))]
    odd = next((index for index, name in enumerate(value) if not isinstance(name, str)), None)
    if odd is not None:
        return None, [_invalid_field(f"/outputs/{odd}", "the name of an output", describe(value[odd]))]
    faults = signature.check_outputs(value[: len(signature.outputs) + MAX_NAMED])[:MAX_NAMED]
    twice = _first_repeated(value)
    if twice is not None:
        faults.append(_invalid_field(f"/outputs/{twice}", "each output once", f"{quoted(value[twice])} again"))
    return tuple(value), faults


def _first_repeated(names: Sequence[str]) -> int | None:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            return index
        seen.add(name)
    return None


def _read_id(document: Mapping[str, object]) -> tuple[str | None, list[Violation]]:
    if "id" not in document:
        return None, []
    value = document["id"]
    if type(value) is str and len(value) <= MAX_ID_CHARS:  # and no bare word
        return value, []
    received = f"{len(value)} characters" if isinstance(value, str) else describe(value)
    return None, [_invalid_field("/id", f"text of at most {MAX_ID_CHARS} characters", received)]


def _invalid_field(path: str, expected: str, received: str) -> Violation:
    return Violation(path=path, expected=expected, received=received, code="invalid_field")
