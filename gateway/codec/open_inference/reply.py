"""What a request says about its answer: which outputs, which of them as bytes."""

from collections.abc import Mapping
from typing import NamedTuple

from gateway.codec.elements import describe
from gateway.codec.limits import MAX_ID_CHARS, MAX_NAMED
from gateway.codec.open_inference.words import Words, unsupported
from registry.errors import Violation
from registry.names import quoted
from registry.signature import shortened

_SHARED_MEMORY = "shared_memory_region"
_CLASSIFICATION = "classification"


class Reply(NamedTuple):
    """How the outputs of an answer are to be written."""

    is_binary: bool = False
    """True if all are bytes that are not in ``exceptions``."""
    exceptions: frozenset[str] = frozenset()
    """The outputs for which the opposite was asked."""

    def wants_bytes(self, name: str) -> bool:
        """Return whether an output is to be written as bytes."""
        return (name in self.exceptions) is not self.is_binary


JSON = Reply()
BINARY = Reply(is_binary=True)


class Asked(NamedTuple):
    """The outputs that a request asks for, and what is wrong with the way it asks."""

    names: tuple[str, ...] | None
    reply: Reply
    faults: tuple[Violation, ...] = ()


def read_outputs(words: Words, document: Mapping[str, object]) -> Asked:
    """Read ``outputs`` and the request's ``parameters``."""
    parameters, faults = read_parameters(document, "/parameters")
    is_binary, found = _flag(parameters, "binary_data_output", "/parameters")
    faults += found
    value = document.get("outputs")
    if value is None:
        return Asked(words.all_outputs, Reply(is_binary is True), tuple(faults))
    if not isinstance(value, list) or not value:
        expected = "a list of outputs, or none for all"
        return Asked(None, JSON, (*faults, invalid("/outputs", expected, describe(value))))
    names: list[str] = []
    exceptions: set[str] = set()
    for index, item in enumerate(value[: len(words.signature.outputs) + MAX_NAMED]):
        name, wants_bytes, found = _read_output(words, item, f"/outputs/{index}")
        faults += found
        if name in names:
            faults.append(invalid(f"/outputs/{index}/name", "each output once", f"{quoted(name)} again"))
        names.append(name)
        if wants_bytes is not None and wants_bytes is not (is_binary is True):
            exceptions.add(name)
    return Asked(tuple(names), Reply(is_binary is True, frozenset(exceptions)), tuple(faults[:MAX_NAMED]))


def read_id(document: Mapping[str, object]) -> tuple[str | None, list[Violation]]:
    """Read ``id``."""
    value = document.get("id")
    if value is None or (type(value) is str and len(value) <= MAX_ID_CHARS):
        return value, []
    received = f"{len(value)} characters" if type(value) is str else describe(value)
    return None, [invalid("/id", f"text of at most {MAX_ID_CHARS} characters", received)]


def read_parameters(holder: Mapping[str, object], path: str) -> tuple[Mapping[str, object], list[Violation]]:
    """Read the ``parameters`` of a request, an input or an output; what is unknown there is nobody's business."""
    value = holder.get("parameters")
    if value is None:
        return {}, []
    if not isinstance(value, dict):
        return {}, [invalid(path, "an object", describe(value))]
    faults = [
        invalid(f"{path}/{name}", f"no {name}: this server has no such extension", describe(value[name]))
        for name in (_SHARED_MEMORY, _CLASSIFICATION)
        if name in value
    ]
    return value, faults


def invalid(path: str, expected: str, received: str) -> Violation:
    """Return the violation of a field that is missing or malformed."""
    return Violation(path=path, expected=expected, received=received, code="invalid_field")


def _read_output(words: Words, item: object, path: str) -> tuple[str, bool | None, list[Violation]]:
    if not isinstance(item, dict):
        return "", None, [invalid(path, "an object with a name", describe(item))]
    name = item.get("name")
    if not isinstance(name, str):
        received = describe(name) if "name" in item else "nothing"
        return "", None, [invalid(f"{path}/name", "the name of an output", received)]
    parameters, faults = read_parameters(item, f"{path}/parameters")
    wants_bytes, found = _flag(parameters, "binary_data", f"{path}/parameters")
    faults += found
    if name not in words.output_datatypes:
        spec = next((spec for spec in words.signature.outputs if spec.name == name), None)
        faults.append(_unknown_output(words, name, path) if spec is None else unsupported(path, spec))
    return name, wants_bytes, faults


def _unknown_output(words: Words, name: str, path: str) -> Violation:
    expected = "one of " + ", ".join(spec.name for spec in words.signature.outputs)
    return Violation(path=f"{path}/name", expected=expected, received=shortened(name), code="unknown_output")


def _flag(parameters: Mapping[str, object], name: str, path: str) -> tuple[bool | None, list[Violation]]:
    value = parameters.get(name)
    if value is None or isinstance(value, bool):
        return value, []
    return None, [invalid(f"{path}/{name}", "true or false", describe(value))]
