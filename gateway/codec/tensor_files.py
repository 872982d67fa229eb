"""What the forms have in common that carry tensors as files: how a file is told to be none, or a tensor to be wrong."""

from collections.abc import Callable, Mapping, Sequence

from gateway.codec.assembly import assemble
from gateway.codec.body import Array, PredictBody
from gateway.codec.limits import MAX_ELEMENTS, MAX_NAMED
from gateway.codec.raw_tensors import BytesDoNotFit
from registry.errors import SignatureMismatch, TooManyElements, Violation
from registry.names import quoted
from registry.signature import Signature, pointer_token, shortened
from registry.tensor import DType, TensorSpec

MAX_TENSOR_BYTES = MAX_ELEMENTS * 8
"""Of all tensors of one request, once inflated: what JSON may bring as well, since its elements are counted."""

UNSUPPORTED = "unsupported_on_this_wire"
"""The code of the violation where a form has no word for a type."""

TypedReader = Callable[[TensorSpec], Array]
"""Returns the tensor that a file holds, once the input is known that it is for; raises ``BytesDoNotFit``."""


def wrong_dtype(wanted: DType, received: str) -> BytesDoNotFit:
    """Return the fault of a tensor of another dtype: nothing is cast."""
    return BytesDoNotFit(f"a tensor of {wanted.name}", f"one of {received}", "invalid_dtype")


def check_count(count: int) -> None:
    """Refuse more elements than a request may bring, before there is memory for them.

    Raises:
        TooManyElements: there are.
    """
    if count > MAX_ELEMENTS:
        expected, received = f"at most {MAX_ELEMENTS} elements in one request", f"{count} elements"
        raise TooManyElements([Violation(path="", expected=expected, received=received, code=TooManyElements.code)])


def assemble_files(
    signature: Signature, files: Mapping[str, TypedReader], outputs: tuple[str, ...] | None, faults: Sequence[Violation]
) -> PredictBody:
    """Return what tensors by name say, each read for the input of that name.

    Args:
        signature: of the version.
        files: by the name of the tensor; those that the signature does not have are not read.
        outputs: the outputs that are asked for, None for all.
        faults: what else is wrong with the request.

    Raises:
        SignatureMismatch, TooManyElements: as ``assemble``.
    """
    specs = {spec.name: spec for spec in signature.inputs}
    tensors: dict[str, Array | None] = {}
    found: list[Violation] = []
    for name, read in files.items():
        spec = specs.get(name)
        tensors[name] = None
        if spec is None:
            continue
        try:
            tensors[name] = read(spec)
        except BytesDoNotFit as fault:
            path = f"/{pointer_token(name)}"
            found.append(Violation(path=path, expected=fault.expected, received=fault.received, code=fault.code))
    return PredictBody(assemble(signature, tensors, faults=[*found, *faults], base=""), outputs, None)


def output_faults(signature: Signature, names: Sequence[str]) -> list[Violation]:
    """List what is wrong with the outputs that the headers ask for."""
    faults = signature.check_outputs(names[: len(signature.outputs) + MAX_NAMED], path="x-outputs")[:MAX_NAMED]
    seen: set[str] = set()
    twice = next((name for name in names if name in seen or seen.add(name)), None)  # type: ignore[func-returns-value]
    if twice is not None:
        received = f"{quoted(shortened(twice))} again"
        faults.append(Violation(path="x-outputs", expected="each output once", received=received, code="invalid_field"))
    return faults


def refuse(faults: Sequence[Violation]) -> None:
    """Refuse a request that has faults.

    Raises:
        SignatureMismatch: it has.
    """
    if faults:
        raise SignatureMismatch(faults)
