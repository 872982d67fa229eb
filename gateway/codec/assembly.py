"""From the tensors that a body brings, whatever its form, to a feed that fits the signature."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from gateway.codec.body import Array
from gateway.codec.limits import MAX_ELEMENTS, MAX_NAMED
from registry.errors import SignatureMismatch, TooManyElements, Violation
from registry.signature import Signature, pointer_token, shortened


def assemble(
    signature: Signature,
    tensors: Mapping[str, Array | None],
    *,
    faults: Sequence[Violation] = (),
    places: Mapping[str, str] | None = None,
    base: str = "/inputs",
) -> dict[str, Array]:
    """Return the tensors in the order of the signature, once every one is known to fit it.

    Args:
        signature: of the version.
        tensors: by name; None for one that came and could not be read, about which ``faults`` says something.
        faults: what has been found out so far.
        places: where the tensors stand in the body, by name, as JSON Pointers; ``base`` and the name for the others.
        base: of the tensors that ``places`` does not know, or that are missing.

    Raises:
        TooManyElements: they have more elements together than one request may bring.
        SignatureMismatch: one of them does not fit, or there were faults already; all that is wrong.
    """
    count = 0
    shapes: dict[str, tuple[int, ...] | None] = {}
    for name, array in tensors.items():
        shapes[name] = None if array is None else array.shape
        count += 0 if array is None else array.size
    if count > MAX_ELEMENTS:
        expected, received = f"at most {MAX_ELEMENTS} elements in one request", f"{count} elements"
        raise TooManyElements([Violation(path=base, expected=expected, received=received, code=TooManyElements.code)])
    if len(shapes) > len(signature.inputs):
        shapes = _fewer(signature, shapes)
    found = signature.check(shapes, path=base)
    if faults or found:
        raise SignatureMismatch([*faults, *_placed(found, [*tensors], places or {}, base)])
    return {spec.name: array for spec in signature.inputs if (array := tensors.get(spec.name)) is not None}


def _fewer(signature: Signature, shapes: Mapping[str, tuple[int, ...] | None]) -> dict[str, tuple[int, ...] | None]:
    """Return the shapes without the unknown names past those that an answer repeats."""
    known = {spec.name for spec in signature.inputs}
    unknown = [name for name in shapes if name not in known]
    kept = {name: shape for name, shape in shapes.items() if name in known}
    return kept | dict.fromkeys(shortened(name) for name in unknown[:MAX_NAMED])


def _placed(
    found: Iterable[Violation], names: Iterable[str], places: Mapping[str, str], base: str
) -> Iterable[Violation]:
    by_path = {f"{base}/{pointer_token(shortened(name))}": places[name] for name in names if name in places}
    return [replace(violation, path=by_path.get(violation.path, violation.path)) for violation in found]
