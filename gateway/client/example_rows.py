"""The example of a conversion, and what the graph is told of it."""

import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gateway.client.errors import UnusableArgument
from gateway.client.tables import COLUMNS, is_table

_LONGEST_NOTE = 16 * 1024
"""Characters. Of a model's metadata 64 KiB are kept: longer names of columns would be cut, and not be read again."""


NUMBERS = "fiub"
"""The kinds of dtypes that are numbers here, also of pandas's own dtypes, such as Int64."""

_WANTED = (
    "the example is a table of rows of one numeric dtype, such as X_train[:10]; for columns of several types "
    "give the DataFrame that a pipeline with a ColumnTransformer was fitted on"
)


def as_rows(example: Any) -> Any:
    """Return an example as an array [rows, features] of one numeric dtype; what a table lacks is NaN, as in predicting.

    Raises:
        UnusableArgument: it is none; of a table it says which column is no numbers.
    """
    import numpy as np

    rows = _numbers_of(example) if is_table(example) else np.asarray(example)
    if rows.ndim != 2 or not rows.shape[0] or rows.dtype.kind not in NUMBERS:  # noqa: PLR2004 - rows and columns
        raise UnusableArgument(_WANTED)
    return rows


def _numbers_of(table: Any) -> Any:
    import numpy as np

    odd = [f"column {name} holds {dtype}" for name, dtype in table.dtypes.items() if dtype.kind not in NUMBERS]
    if odd:
        raise UnusableArgument(f"{odd[0]}: {_WANTED}")
    dtypes = [getattr(dtype, "numpy_dtype", dtype) for dtype in table.dtypes]  # Int64 of pandas is int64 and a mask
    common = np.result_type(*dtypes) if dtypes else np.dtype(np.float32)
    if not table.isna().to_numpy().any():
        return table.to_numpy(dtype=common)
    return table.to_numpy(dtype=common if common.kind == "f" else np.float64, na_value=np.nan)


def column_names(example: Any, model: Any) -> list[str] | None:
    """Return what the columns are called: by the table, or by the one that the model was fitted on."""
    names = example.columns if is_table(example) else getattr(model, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def note_columns(graph: Any, names: Sequence[str] | None) -> bytes:
    """Write the names of the columns into a graph's metadata, if there are any, and return its bytes."""
    note = json.dumps(list(names or ()))
    if names and len(note) <= _LONGEST_NOTE:
        entry = graph.metadata_props.add()
        entry.key, entry.value = COLUMNS, note
    octets: bytes = graph.SerializeToString()
    return octets


def source_of(model: Any, library: str) -> str:
    """Return what a model is, for the version's tags: ``sklearn 1.9.1 LogisticRegression``."""
    release = getattr(sys.modules.get(library), "__version__", "")
    return " ".join(filter(None, (library, release, type(model).__name__)))


@contextmanager
def converting(converter: str) -> Iterator[None]:
    """Turn whatever a converter raises into a refusal, and keep its warnings, which are for its makers, to itself.

    Raises:
        UnusableArgument: it cannot convert the model; with the first line of why.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        words = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UnusableArgument(f"{converter} cannot convert the model: {words[:300]}") from error
