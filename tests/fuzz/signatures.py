"""What the models take whose requests are made up: of each kind one."""

from registry.signature import Signature
from registry.tensor import DTYPES, OPTIONAL, SEQUENCE, TensorSpec, map_of
from tests.support.signatures import IRIS, SHOP, signature, tensor

_OUTPUTS = (tensor("a", "int8", None), tensor("b", "int8", None))


def _wrapped(name: str, dtype: str, *containers: str) -> TensorSpec:
    return TensorSpec(name=name, dtype=DTYPES[dtype], shape=None, containers=containers)


SIGNATURES: tuple[Signature, ...] = (
    IRIS,
    SHOP,
    signature(
        *(
            tensor(name, name, ("n", None)[: 1 + (name in {"int8", "string"})], optional=True)
            for name, dtype in DTYPES.items()
            if not dtype.is_foreign
        ),
        outputs=_OUTPUTS,
    ),
    signature(
        *(tensor(name, name, ("n",), optional=True) for name, dtype in DTYPES.items() if dtype.is_foreign),
        outputs=_OUTPUTS,
    ),
    signature(tensor("x", "float16", ()), outputs=_OUTPUTS),
    signature(tensor("shape", "string", None), outputs=_OUTPUTS),
    signature(tensor("x", "int64", tuple(f"d{axis}" for axis in range(30))), outputs=_OUTPUTS),
    signature(tensor("x", "float32", ("n", 2, 16)), tensor("mask", "bool", ("n", 2)), outputs=_OUTPUTS),
    signature(tensor("x", "uint8", ("n", 32)), outputs=_OUTPUTS),
    signature(
        _wrapped("many", "float32", SEQUENCE),
        _wrapped("scores", "float32", SEQUENCE, map_of(DTYPES["int64"])),
        _wrapped("named", "string", OPTIONAL, map_of(DTYPES["string"])),
        outputs=_OUTPUTS,
    ),
    signature(_wrapped("maybe", "int64", OPTIONAL, SEQUENCE), outputs=_OUTPUTS),
    signature(outputs=_OUTPUTS),
)


def words_of(what: Signature) -> tuple[str, ...]:
    """Return the names of a signature, and the keys of all dialects' bodies."""
    names = [spec.name for spec in (*what.inputs, *what.outputs)]
    ours = [
        "inputs",
        "instances",
        "outputs",
        "id",
        "shape",
        "data",
        "a",
        "b",
        "\u00e9",
        "\U0001f600",
        "x\0y",
        "__proto__",
    ]
    theirs = ["name", "datatype", "parameters", "binary_data", "binary_data_size", "binary_data_output", "model_name"]
    more = ["FP32", "FP64", "FP16", "INT64", "BYTES", "BOOL", "signature_name", "serving_default", "b64", "7", "-1"]
    return (*names, *ours, *theirs, *more)
