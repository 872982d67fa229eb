"""From a ModelInferRequest to what it says, every fault named.

1. All tensors are raw, one entry of ``raw_input_contents`` for each input, or all are typed: the protocol does not have
   both in one request.
2. Parameters that this server does not know are passed over: clients send what only other servers understand.
"""

from collections.abc import Sequence
from typing import Any, Final

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # it ships no types

from gateway.codec.assembly import assemble
from gateway.codec.body import Array, PredictBody
from gateway.codec.limits import MAX_ID_CHARS, MAX_NAMED
from gateway.codec.open_inference.reply import invalid
from gateway.codec.open_inference.words import UNSUPPORTED, Words, unsupported
from gateway.codec.raw_tensors import BytesDoNotFit
from gateway.codec.spellings import SPELLINGS
from gateway.rpc.contents import read_raw_contents, read_typed_contents
from gateway.rpc.outline import Outline
from gateway.rpc.schema import message_class
from registry.errors import InvalidRequest, SignatureMismatch, Violation
from registry.names import quoted
from registry.signature import shortened
from registry.tensor import MAX_RANK, TensorSpec

_REQUEST: Final = message_class("ModelInferRequest")
_EXTENSIONS: Final = ("shared_memory_region", "classification")
_RAW: Final = "/raw_input_contents"


def read_request(words: Words, outline: Outline) -> PredictBody:
    """Return what a request says.

    Raises:
        InvalidRequest: it is no such message.
        TooManyElements: its tensors together hold more elements than one request may bring.
        SignatureMismatch: it does not fit the signature; all of its violations.
    """
    if words.hindrances:
        raise SignatureMismatch(words.hindrances)
    try:
        request = _REQUEST.FromString(outline.head)
    except DecodeError as error:
        raise InvalidRequest("the message is no ModelInferRequest") from error
    names, faults = _read_outputs(words, request.outputs)
    if len(request.id) > MAX_ID_CHARS:
        faults.append(invalid("/id", f"text of at most {MAX_ID_CHARS} characters", f"{len(request.id)} characters"))
    tensors, places, found = _read_inputs(words, request.inputs, outline.raw)
    feed = assemble(words.signature, tensors, faults=[*found, *faults], places=places)
    return PredictBody(feed, names, request.id or None)


def _read_outputs(words: Words, outputs: Sequence[Any]) -> tuple[tuple[str, ...] | None, list[Violation]]:
    if not outputs:
        return words.all_outputs, []
    names: list[str] = []
    faults: list[Violation] = []
    for index, output in enumerate(outputs[: len(words.signature.outputs) + MAX_NAMED]):
        name, path = output.name, f"/outputs/{index}"
        faults += _extensions(output, path)
        if name in names:
            faults.append(invalid(f"{path}/name", "each output once", f"{quoted(name)} again"))
        elif name not in words.output_datatypes:
            faults.append(_no_output(words, name, path))
        names.append(name)
    return tuple(names), faults[:MAX_NAMED]


def _no_output(words: Words, name: str, path: str) -> Violation:
    spec = next((spec for spec in words.signature.outputs if spec.name == name), None)
    if spec is not None:
        return unsupported(path, spec)
    expected = "one of " + ", ".join(spec.name for spec in words.signature.outputs)
    return Violation(path=f"{path}/name", expected=expected, received=shortened(name), code="unknown_output")


def _read_inputs(
    words: Words, inputs: Sequence[Any], raw: Sequence[memoryview]
) -> tuple[dict[str, Array | None], dict[str, str], list[Violation]]:
    """Return the arrays by name, None for those that cannot be read, where they stand, and what is wrong with them."""
    tensors: dict[str, Array | None] = {}
    places: dict[str, str] = {}
    faults: list[Violation] = []
    if raw and len(raw) != len(inputs):
        expected = f"{len(inputs)} entries, one for each input"
        faults.append(Violation(path=_RAW, expected=expected, received=f"{len(raw)} entries", code="invalid_field"))
    for index, item in enumerate(inputs[: len(words.signature.inputs) + MAX_NAMED]):
        name, path = item.name, f"/inputs/{index}"
        if name in tensors:
            faults.append(invalid(f"{path}/name", "each input once", f"{quoted(name)} again"))
            continue
        tensors[name], places[name] = None, path
        spec = words.inputs.get(name)
        if spec is None:
            continue  # the signature says so
        found = _head_faults(words, spec, item, path, has_raw=bool(raw))
        if found:
            faults += found
        elif not raw or index < len(raw):
            read = _read_values(spec, item, raw[index] if raw else None, path)
            if isinstance(read, list):
                faults += read
            else:
                tensors[name] = read
    return tensors, places, faults


def _head_faults(words: Words, spec: TensorSpec, item: Any, path: str, *, has_raw: bool) -> list[Violation]:
    """Return what is wrong with a tensor apart from its values."""
    faults = _extensions(item, path)
    wanted = words.datatypes.get(spec.name)
    if wanted is None:
        return [*faults, unsupported(path, spec)]
    if item.datatype != wanted:
        received = shortened(item.datatype) or "nothing"
        faults.append(Violation(path=f"{path}/datatype", expected=wanted, received=received, code="invalid_dtype"))
    shape = item.shape
    if len(shape) > MAX_RANK or (len(shape) and min(shape) < 0):
        expected, received = f"at most {MAX_RANK} sizes", str(list(shape[: MAX_RANK + 1]))
        faults.append(Violation(path=f"{path}/shape", expected=expected, received=received, code="invalid_shape"))
    if has_raw:
        if item.HasField("contents") and item.contents.ListFields():
            faults.append(invalid(f"{path}/contents", "none beside raw_input_contents", "typed contents"))
    elif SPELLINGS[spec.dtype.name].grpc_contents is None:
        expected = f"{wanted} in raw_input_contents: the protocol has no typed contents for it"
        faults.append(Violation(path=f"{path}/contents", expected=expected, received="none there", code=UNSUPPORTED))
    return faults


def _read_values(spec: TensorSpec, item: Any, octets: memoryview | None, path: str) -> Array | list[Violation]:
    shape = tuple(item.shape)
    try:
        if octets is None:
            return read_typed_contents(spec, item.contents, shape, f"{path}/contents")
        return read_raw_contents(spec, octets, shape)
    except BytesDoNotFit as fault:
        return [Violation(path=path, expected=fault.expected, received=fault.received, code=fault.code)]


def _extensions(item: Any, path: str) -> list[Violation]:
    if not item.parameters:
        return []
    return [
        invalid(f"{path}/parameters/{name}", f"no {name}: this server has no such extension", "one")
        for name in _EXTENSIONS
        if name in item.parameters
    ]
