"""Inputs held against a version's signature before anything is sent.

1. What fits its dtype without losing anything but a float's last bits is cast, so that every program sends the same
   bits in every form. Nothing is rounded to an integer, nothing wraps, nothing becomes infinite, text is no number.
2. What does not fit is named as the gateway names it: by the input, and by the element where one alone is at fault; a
   shape by its dimension. All faults at once.
3. Where numpy cannot tell what was meant (words among numbers, sequences, maps, types that numpy lacks), the value goes
   to the gateway as it is, and the gateway decides.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gateway.client.faults import Violation, pointer_token
from gateway.client.tensors import Spec, as_array, cast, own_type
from gateway.client.versions import spell_shape, spell_tensor

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_MOST_NAMED = 16
"""So many elements of an input are named."""

_FLOATS, _INTEGERS = "f", "iu"
_SIZES_OF_KIND = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}
_TELLING = "fiubcMm"
"""The kinds of arrays of which every element is of that kind: it is decided here whether they fit."""


def fit(inputs: Mapping[str, Any], specs: Sequence[Spec]) -> tuple[dict[str, Any], list[Violation]]:
    """Return the inputs as arrays of their dtypes, as far as they are tensors, and what is wrong with them."""
    faults: list[Violation] = []
    fitted: dict[str, Any] = {}
    sizes: dict[str, tuple[int, str]] = {}
    for spec in specs:
        name, value = spec["name"], inputs.get(spec["name"])
        if name not in inputs or (value is None and spec.get("optional")):
            faults += [] if _may_be_absent(spec) else [_violation(spec, "nothing", "missing_input")]
        elif spec.get("containers"):
            fitted[name] = value
        else:
            fitted[name], found = _fit_tensor(value, spec)
            faults += found or _shape_faults(fitted[name], spec, sizes)
    return fitted, faults + _unknown(inputs, specs)


def _may_be_absent(spec: Spec) -> bool:
    return bool(spec.get("optional")) or list(spec.get("containers") or ())[:1] == ["optional"]


def _unknown(inputs: Mapping[str, Any], specs: Sequence[Spec]) -> list[Violation]:
    known = [spec["name"] for spec in specs]
    expected = "one of " + ", ".join(known) if known else "no inputs"
    return [
        Violation(
            path=f"/inputs/{pointer_token(str(name))}", expected=expected, received=str(name), code="unknown_input"
        )
        for name in inputs
        if name not in known
    ]


def _fit_tensor(value: Any, spec: Spec) -> tuple[Any, list[Violation]]:
    import numpy as np

    dtype = spec["dtype"]
    try:
        array = as_array(value, dtype)
    except ValueError:  # numpy's word for it: "inhomogeneous"
        return value, [_violation(spec, "lists of different lengths", "invalid_shape")]
    if dtype == "string":
        return array, _element_faults(array, spec, _is_no_text(array), code="invalid_dtype")
    wanted = np.dtype(own_type(dtype))
    if array.dtype.kind not in _TELLING or (not array.size and array.dtype.kind == _FLOATS):
        return cast(array, dtype), []
    if array.dtype.kind not in _SIZES_OF_KIND[wanted.kind]:
        return array, [_violation(spec, f"{array.dtype.name}{spell_shape(array.shape)}", "invalid_dtype")]
    done = cast(array, dtype)
    return done, _element_faults(array, spec, _is_outside(array, done, wanted), code="out_of_range")


def _is_no_text(array: "Array") -> "Array":
    import numpy as np

    return np.array([not isinstance(item, str) for item in array.ravel().tolist()], bool).reshape(array.shape)


def _is_outside(array: "Array", done: "Array", wanted: "np.dtype[Any]") -> "Array | None":
    """Return which elements the dtype has no room for, None where all have been cast."""
    import numpy as np

    if done is not array or array.dtype == wanted:
        return None
    if wanted.kind in _INTEGERS:
        limits = np.iinfo(wanted)
        outside: Array = (array < limits.min) | (array > limits.max)
        return outside
    with np.errstate(over="ignore"):
        infinite: Array = np.isinf(array.astype(wanted)) & ~np.isinf(array.astype(np.float64))
    return infinite


def _element_faults(array: "Array", spec: Spec, wrong: "Array | None", *, code: str) -> list[Violation]:
    import numpy as np

    if wrong is None or not wrong.any():
        return []
    dtype = spec["dtype"]
    expected = f"an element of {dtype}" if code == "invalid_dtype" else f"{dtype}, which has no room for it"
    return [
        Violation(
            path="/".join([_path(spec), *map(str, place)]),
            expected=expected,
            received=_shortened(array[tuple(place)]),
            code=code,
        )
        for place in np.argwhere(wrong)[:_MOST_NAMED].tolist()
    ]


def _shape_faults(array: Any, spec: Spec, sizes: dict[str, tuple[int, str]]) -> list[Violation]:
    wanted, shape = spec["shape"], tuple(array.shape)
    if wanted is None:
        return []
    came = f"{spec['dtype']}{spell_shape(shape)}"
    if len(wanted) != len(shape):
        return [_violation(spec, f"{came} ({len(shape)} dimensions, not {len(wanted)})", "invalid_shape")]
    wrong = [
        f"dimension {axis} is {size}, not {dim}"
        for axis, (dim, size) in enumerate(zip(wanted, shape, strict=True))
        if isinstance(dim, int) and dim != size
    ]
    if wrong:
        return [_violation(spec, f"{came} ({', '.join(wrong)})", "invalid_shape")]
    found = []
    for dim, size in zip(wanted, shape, strict=True):
        seen, where = sizes.setdefault(dim, (size, spec["name"])) if isinstance(dim, str) else (size, "")
        if seen != size:
            expected, received = f"{dim} = {seen}, as in {where}", f"{dim} = {size}"
            found.append(Violation(path=_path(spec), expected=expected, received=received, code="inconsistent_dim"))
    return found


def _violation(spec: Spec, received: str, code: str) -> Violation:
    return Violation(path=_path(spec), expected=spell_tensor(spec), received=received, code=code)


def _path(spec: Spec) -> str:
    return f"/inputs/{pointer_token(spec['name'])}"


def _shortened(element: Any) -> str:
    text = repr(element.item() if hasattr(element, "item") else element)
    return text if len(text) <= 64 else text[:64] + "..."  # noqa: PLR2004 - as long as the gateway's
