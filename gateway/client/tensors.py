"""Arrays to JSON and back, by the dtypes of a signature.

1. What fits its dtype is cast before it is written, in whatever form; what does not (1.5 for an integer, text for a
   number, a float that overflows) stays as it is (``fitting`` looks at that).
2. NaN and the infinities travel as text; a tensor without elements travels as shape and data.
3. An answer becomes an array of the signature's dtype; strings become an object array of str. Of a type that numpy
   does not know, numbers become float32 or eight-bit integers, which hold all of them.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gateway.client.errors import UnusableArgument

if TYPE_CHECKING:
    import numpy as np

Spec = Mapping[str, Any]
"""One input or output of a signature, as the gateway describes it: ``name``, ``dtype``, ``shape``."""

_SEQUENCE = "sequence"
_MAP = "map"
_FROM_ELSEWHERE = 2  # numpy.dtype.isbuiltin of types that a library such as ml_dtypes has registered
_SMALL_INTEGERS = frozenset({"int2", "int4"})
_SMALL_FLOATS = ("bfloat16", "float8", "float4")
_BFLOAT16 = "bfloat16"
_FLOATS = "f"
_INTEGERS = "iu"


def name_inputs(inputs: Any, specs: Sequence[Spec]) -> Mapping[str, Any]:
    """Return the inputs by name; an array alone is the one that the model requires.

    Raises:
        UnusableArgument: an array alone, and the model requires several inputs or none.
    """
    if isinstance(inputs, Mapping):
        return inputs
    required = [spec["name"] for spec in specs if not spec.get("optional")]
    names = required or [spec["name"] for spec in specs]
    if len(names) != 1:
        known = ", ".join(spec["name"] for spec in specs) or "none"
        raise UnusableArgument(f"the model has {len(specs)} inputs ({known}): give a mapping of names to arrays")
    return {names[0]: inputs}


def encode_inputs(inputs: Mapping[str, Any], specs: Sequence[Spec]) -> dict[str, Any]:
    """Return what orjson (with numpy) writes as the ``inputs`` of a body."""
    by_name = {spec["name"]: spec for spec in specs}
    return {name: _encode(value, by_name.get(name, {})) for name, value in inputs.items()}


def _encode(value: Any, spec: Spec) -> Any:
    if not spec.get("containers"):
        return encode_tensor(value, spec.get("dtype"))
    inner = {**spec, "containers": spec["containers"][1:]}
    if isinstance(value, Mapping):
        return {str(key): _encode(item, inner) for key, item in value.items()}
    if spec["containers"][0] == _SEQUENCE and isinstance(value, Sequence):
        return [_encode(item, inner) for item in value]
    return None if value is None else _encode(value, inner)


def encode_tensor(value: Any, dtype: str | None) -> Any:
    """Return one tensor in the wire's form; without a known dtype as numpy understands it."""
    return _shaped(cast(as_array(value, dtype), dtype))


def as_array(value: Any, dtype: str | None) -> "np.ndarray[Any, Any]":
    """Return what numpy makes of a value: texts as objects, a type that numpy lacks as the next larger of its own.

    Raises:
        ValueError: it is a ragged list.
    """
    import numpy as np

    if dtype == "string":
        return np.asarray(value, dtype=object)
    array = np.asarray(value)
    return array.astype(own_type(array.dtype.name)) if array.dtype.isbuiltin == _FROM_ELSEWHERE else array


def decode_outputs(outputs: Mapping[str, Any], specs: Sequence[Spec]) -> dict[str, Any]:
    """Return the answer's tensors, each with the dtype of its spec and the shape that it came in.

    A sequence is a list of them, a map a dict, an optional that is absent None.
    """
    by_name = {spec["name"]: spec for spec in specs}
    return {name: _decode(value, by_name[name]) for name, value in outputs.items()}


def _decode(value: Any, spec: Spec) -> Any:
    containers = spec.get("containers")
    if not containers:
        return decode_tensor(value, spec["dtype"])
    inner = {**spec, "containers": containers[1:]}
    if containers[0].startswith(_MAP):
        has_text = containers[0] == f"{_MAP}[string]"
        return {key if has_text else int(key): _decode(item, inner) for key, item in value.items()}
    if containers[0] == _SEQUENCE:
        return [_decode(item, inner) for item in value]
    return None if value is None else _decode(value, inner)


def decode_tensor(value: Any, dtype: str) -> "np.ndarray[Any, Any]":
    """Return one tensor of the wire as an array; ``decode(encode(t)) == t`` for every dtype."""
    import numpy as np

    wanted = np.dtype(own_type(dtype))
    if isinstance(value, Mapping):
        return np.array(value["data"], dtype=wanted).reshape(value["shape"])
    return np.array(value, dtype=wanted)


def own_type(dtype: str) -> str:
    """Return the type of numpy's own that holds all values of a type: itself, or the next larger one."""
    if dtype == "string":
        return "object"
    if dtype.removeprefix("u") in _SMALL_INTEGERS:
        return "uint8" if dtype.startswith("u") else "int8"
    return "float32" if dtype.startswith(_SMALL_FLOATS) else dtype


def cast(array: "np.ndarray[Any, Any]", dtype: str | None) -> "np.ndarray[Any, Any]":
    """Return what fits cast to a dtype, of bfloat16 as float32 that it can hold; anything else as it came (rule 1)."""
    import numpy as np

    if dtype == _BFLOAT16:
        return _rounded(array)
    if dtype is None or dtype == "string" or np.dtype(own_type(dtype)).name != dtype:
        return array
    wanted = np.dtype(dtype)
    came, want = array.dtype.kind, wanted.kind
    if array.dtype == wanted or (array.size == 0 and came == _FLOATS):
        return array.astype(wanted, copy=False)
    if want == _FLOATS and came in _FLOATS + _INTEGERS:
        with np.errstate(over="ignore"):
            return _unless_infinite(array, array.astype(wanted))
    if want in _INTEGERS and came in _INTEGERS and array.size:
        limits = np.iinfo(wanted)
        return array.astype(wanted) if limits.min <= int(array.min()) and int(array.max()) <= limits.max else array
    return array


def _rounded(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Return float32 with the values that bfloat16 rounds to: to nearest, ties to even, rounded once."""
    import numpy as np

    if array.dtype.kind not in _FLOATS + _INTEGERS:
        return array
    with np.errstate(over="ignore"):
        near = array.astype(np.float32)
    bits = near.view(np.uint32).astype(np.int64)
    wide = array.astype(np.float64)
    # Where rounding to float32 has made a tie of what is none, it is put back to its own side of it.
    with np.errstate(invalid="ignore"):
        bits += ((bits & 0xFFFF) == 0x8000) * np.sign(np.abs(wide) - np.abs(near.astype(np.float64))).astype(np.int64)  # noqa: PLR2004 - half of bfloat16's last bit
    bits += 0x7FFF + ((bits >> 16) & 1)
    rounded = (bits & 0xFFFF0000).astype(np.uint32).view(np.float32).reshape(array.shape)
    return _unless_infinite(array, np.where(np.isnan(near), np.float32(np.nan), rounded))


def _unless_infinite(array: "np.ndarray[Any, Any]", done: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Return what was cast, or the array as it came if casting made something infinite."""
    import numpy as np

    before = int(np.isinf(array).sum()) if array.dtype.kind == _FLOATS else 0
    return array if int(np.isinf(done).sum()) > before else done


def _shaped(array: "np.ndarray[Any, Any]") -> Any:
    import numpy as np

    if array.size == 0:
        return {"shape": list(array.shape), "data": []}
    if array.dtype.kind == _FLOATS and not np.isfinite(array).all():
        return _with_words(array).tolist()
    if array.dtype.kind in "OSUV" or array.ndim == 0:
        return array.tolist()
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _with_words(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    import numpy as np

    values = array.astype(object)
    values[np.isnan(array)] = "NaN"
    values[np.isposinf(array)] = "Infinity"
    values[np.isneginf(array)] = "-Infinity"
    return values
