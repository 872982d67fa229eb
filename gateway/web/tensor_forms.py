"""The forms of Sardonyx's own route that carry tensors as files: npy, npz and safetensors, in, out or both.

1. What a body has no place for stands in a header: ``x-outputs`` names the outputs, parted by commas, in UTF-8 and
   percent-encoded where a name has a comma or a percent sign in it.
2. Whether the answer's form has a word for every output that is asked for is known from the signature: that is checked
   with the body, before anything runs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from urllib.parse import unquote

from gateway.codec import npy, npz, safetensors
from gateway.codec.body import PredictBody
from gateway.codec.tensor_files import TypedReader, assemble_files, output_faults, refuse
from gateway.serving.runtime import Array
from gateway.web.endpoint import Endpoint
from gateway.web.wire import QUICK_BINARY_BYTES, Form, Written
from registry.errors import NotAcceptable, SignatureMismatch, Violation
from registry.names import quoted
from registry.signature import Signature
from registry.tensor import TensorSpec

JSON = "application/json"
NPY = "application/x-npy"
NPZ = "application/x-npz"
SAFETENSORS = "application/vnd.safetensors"
SAFETENSORS_TOO = "application/x-safetensors"

OUTPUTS_HEADER = b"x-outputs"

_Outputs = tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of file."""

    read: Callable[[Signature, bytes], Mapping[str, TypedReader]]
    write: Callable[[Sequence[tuple[TensorSpec, Array]]], bytes]
    is_spelled: Callable[[TensorSpec], bool]
    is_single: bool = False
    """True if it holds one tensor."""
    quick_bytes: int = QUICK_BINARY_BYTES
    """How long a body may be that is read at once; text is not."""
    is_quick: Callable[[bytes], bool] = lambda _: True
    """Whether that holds for what such a body says of itself."""


def _read_npy(signature: Signature, body: bytes) -> Mapping[str, TypedReader]:
    required = [spec.name for spec in signature.inputs if not spec.optional]
    names = required or [spec.name for spec in signature.inputs]
    if len(names) != 1:
        expected = f"the inputs {', '.join(names)}, by name: send npz or safetensors" if names else "no inputs"
        raise SignatureMismatch(
            [Violation(path="", expected=expected, received="one tensor without a name", code="invalid_field")]
        )
    return {names[0]: partial(npy.read_npy, body)}


def _write_npy(outputs: Sequence[tuple[TensorSpec, Array]]) -> bytes:
    ((spec, array),) = outputs
    return b"".join(npy.write_npy(spec.name, array))


def _write_npz(outputs: Sequence[tuple[TensorSpec, Array]]) -> bytes:
    return npz.write_npz((spec.name, array) for spec, array in outputs)


_SAFETENSORS = _Kind(
    lambda _, body: safetensors.read_safetensors(body),
    safetensors.write_safetensors,
    safetensors.is_spelled,
    is_quick=safetensors.is_quick,
)

KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        NPY: _Kind(_read_npy, _write_npy, npy.is_spelled, is_single=True),
        NPZ: _Kind(lambda _, body: npz.read_npz(body), _write_npz, npz.is_spelled, quick_bytes=0),
        SAFETENSORS: _SAFETENSORS,
        SAFETENSORS_TOO: _SAFETENSORS,
    }
)
"""Every kind of file, by its content type."""


@dataclass(frozen=True, slots=True)
class TensorForm:
    """A request or an answer, or both, that is a file of tensors.

    Args:
        json: reads and writes what is JSON.
        taken: the content type of the request.
        given: that of the answer.
        outputs: the value of ``x-outputs``, None where there is none.
    """

    json: Form
    taken: str
    given: str
    outputs: bytes | None

    @property
    def quick_bytes(self) -> int:
        """How long a body may be for ``decode_quickly`` to be asked."""
        return self.json.quick_bytes if self.taken == JSON else KINDS[self.taken].quick_bytes

    def decode_quickly(self, endpoint: Endpoint, body: bytes) -> PredictBody | None:
        """Return what a body says, or None if it takes ``decode`` to tell that.

        Raises:
            CallerError: as ``decode``.
        """
        if self.taken != JSON:
            has_text = any(spec.dtype.kind == "O" for spec in endpoint.version.signature.inputs)
            is_quick = not has_text and KINDS[self.taken].is_quick(body)
            return self.decode(endpoint, body) if is_quick else None
        request = self.json.decode_quickly(endpoint, body)
        return None if request is None else self._checked(endpoint, request)

    def decode(self, endpoint: Endpoint, body: bytes) -> PredictBody:
        """Return what a body says.

        Raises:
            CallerError: it does not fit the version's signature, or cannot be read at all.
            NotAcceptable: the form of the answer has no word for an output.
        """
        if self.taken == JSON:
            return self._checked(endpoint, self.json.decode(endpoint, body))
        signature = endpoint.version.signature
        outputs = _names(self.outputs)
        faults = output_faults(signature, outputs) if outputs is not None else []
        files = KINDS[self.taken].read(signature, body)
        return self._checked(endpoint, assemble_files(signature, files, outputs, faults))

    def encode(self, endpoint: Endpoint, request: PredictBody, arrays: Sequence[Array]) -> Written:
        """Return the answer with these arrays.

        Raises:
            OutputNotText, NotAcceptable: a text is none that the form can carry.
        """
        if self.given == JSON:
            return self.json.encode(endpoint, request, arrays)
        specs = _specs(endpoint, request.outputs)
        payload = KINDS[self.given].write(list(zip(specs, arrays, strict=True)))
        return Written(payload, [(b"content-type", self.given.encode("ascii"))])

    def _checked(self, endpoint: Endpoint, request: PredictBody) -> PredictBody:
        if self.given == JSON:
            return request
        kind, specs = KINDS[self.given], _specs(endpoint, request.outputs)
        lacking = [spec for spec in specs if not kind.is_spelled(spec)]
        if lacking:
            others = [JSON, *(name for name, other in KINDS.items() if all(map(other.is_spelled, specs)))]
            what = ", ".join(f"{quoted(spec.name)} ({spec})" for spec in lacking)
            raise NotAcceptable(f"{self.given} has no word for the output {what}; these have: {', '.join(others)}")
        if kind.is_single and len(specs) != 1:
            names = ", ".join(spec.name for spec in specs)
            raise NotAcceptable(
                f"{self.given} holds one output, and the answer has {len(specs)}: {names}. Name one in the header"
                f" x-outputs (in JSON, in outputs), or send Accept: {NPZ}"
            )
        return request


def _specs(endpoint: Endpoint, outputs: _Outputs) -> list[TensorSpec]:
    specs = {spec.name: spec for spec in endpoint.version.signature.outputs}
    return list(specs.values()) if outputs is None else [specs[name] for name in outputs]


def _names(header: bytes | None) -> _Outputs:
    """Return the outputs that a header names.

    Raises:
        SignatureMismatch: it names none, or is not UTF-8.
    """
    if header is None:
        return None
    try:
        names = tuple(unquote(name.strip().decode("utf-8"), errors="strict") for name in header.split(b","))
    except UnicodeDecodeError:
        names = ("",)
    if not all(names):
        expected, received = "names of outputs, parted by commas", quoted(header.decode("latin-1"))
        refuse([Violation(path=OUTPUTS_HEADER.decode(), expected=expected, received=received, code="invalid_field")])
    return names
