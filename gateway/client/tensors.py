"""Arrays to JSON and back, by the dtypes of a signature.

1. A value that fits its dtype is cast here, so that every program sends the same bits. One that does not fit (1.5 for
   an integer, text for a number, a float that overflows) is sent as it is: the gateway names every such fault at once.
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
_FLOATS = "f"
_INTEGERS = "iu"


def name_inputs(inputs: Any, specs: Sequence[Spec]) -> Mapping[str, Any]:
    """Return the inputs by name; an array alone is the input of a model that has one.

    Raises:
        UnusableArgument: an array alone, and the model has several inputs or none.
    """
    if isinstance(inputs, Mapping):
        return inputs
    if len(specs) != 1:
        names = ", ".join(spec["name"] for spec in specs) or "none"
        raise UnusableArgument(f"the model has {len(specs)} inputs ({names}): give a mapping of names to arrays")
    return {specs[0]["name"]: inputs}


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
    import numpy as np

    if dtype == "string":
        return _shaped(np.asarray(value, dtype=object))
    array = np.asarray(value)
    if array.dtype.isbuiltin == _FROM_ELSEWHERE:
        array = array.astype(_own_type(array.dtype.name))
    if dtype is None or np.dtype(_own_type(dtype)).name != dtype:
        return _shaped(array)
    return _shaped(_cast(array, np.dtype(dtype)))


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

    wanted = np.dtype(_own_type(dtype))
    if isinstance(value, Mapping):
        return np.array(value["data"], dtype=wanted).reshape(value["shape"])
    return np.array(value, dtype=wanted)


def _own_type(dtype: str) -> str:
    """Return the type of numpy's own that holds all values of a type: itself, or the next larger one."""
    if dtype == "string":
        return "object"
    if dtype.removeprefix("u") in _SMALL_INTEGERS:
        return "uint8" if dtype.startswith("u") else "int8"
    return "float32" if dtype.startswith(_SMALL_FLOATS) else dtype


def _cast(array: "np.ndarray[Any, Any]", wanted: "np.dtype[Any]") -> "np.ndarray[Any, Any]":
    """Cast what fits; return anything else as it came (rule 1)."""
    import numpy as np

    came, want = array.dtype.kind, wanted.kind
    if array.dtype == wanted or (array.size == 0 and came == _FLOATS):
        return array.astype(wanted)
    if want == _FLOATS and came in _FLOATS + _INTEGERS:
        with np.errstate(over="ignore"):
            cast = array.astype(wanted)
        return array if np.isinf(cast).sum() > (np.isinf(array).sum() if came == _FLOATS else 0) else cast
    if want in _INTEGERS and came in _INTEGERS and array.size:
        limits = np.iinfo(wanted)
        return array.astype(wanted) if limits.min <= int(array.min()) and int(array.max()) <= limits.max else array
    return array


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
