"""A version as the Open Inference Protocol sees it: which of its tensors have a ``datatype``, and which have not."""

from collections.abc import Iterable, Mapping

from gateway.codec.spellings import SPELLINGS
from registry.errors import Violation
from registry.records import Version
from registry.signature import Signature, pointer_token
from registry.tensor import TensorSpec

UNSUPPORTED = "unsupported_on_this_wire"


def datatype_of(spec: TensorSpec) -> str | None:
    """Return the protocol's word for the tensor's element type; None if it cannot carry the value at all."""
    return SPELLINGS[spec.dtype.name].open_inference if spec.is_tensor else None


class Words:
    """What of one version can be said in the protocol; made once."""

    def __init__(self, version: Version) -> None:
        self.model = version.model
        self.number = version.number
        self.signature: Signature = version.signature
        self.inputs: Mapping[str, TensorSpec] = {spec.name: spec for spec in self.signature.inputs}
        self.datatypes: Mapping[str, str] = _datatypes(self.signature.inputs)
        """Of the inputs that have one, by name."""
        self.output_datatypes: Mapping[str, str] = _datatypes(self.signature.outputs)
        """Of the outputs that have one, by name, in the order of the signature."""
        self.all_outputs: tuple[str, ...] | None = (
            None if len(self.output_datatypes) == len(self.signature.outputs) else tuple(self.output_datatypes)
        )
        """What stands for all outputs: those that can be carried; None if these are all."""
        self.has_texts = any(spec.dtype.kind == "O" for spec in self.signature.inputs)
        """Whether an input is text, which takes longer to read than numbers of as many bytes."""
        self.hindrances: tuple[Violation, ...] = _hindrances(self)
        """Why no request can be put in the protocol's words, if none can."""


def _datatypes(specs: Iterable[TensorSpec]) -> dict[str, str]:
    return {spec.name: word for spec in specs if (word := datatype_of(spec)) is not None}


def unsupported(path: str, spec: TensorSpec) -> Violation:
    """Return the violation of a value that the protocol has no word for."""
    expected = "a tensor of a type that the Open Inference Protocol has"
    return Violation(path=path, expected=expected, received=str(spec), code=UNSUPPORTED)


def _hindrances(words: Words) -> tuple[Violation, ...]:
    lacking = [
        unsupported(f"/inputs/{pointer_token(spec.name)}", spec)
        for spec in words.signature.inputs
        if not spec.may_be_absent and spec.name not in words.datatypes
    ]
    if words.signature.outputs and not words.output_datatypes:
        lacking += [unsupported(f"/outputs/{index}", spec) for index, spec in enumerate(words.signature.outputs)]
    return tuple(lacking)
