"""A table of pandas as the inputs of a model.

1. A model with one required input takes the table as rows: each row of the table is one of the tensor. Where the model
   knows what its columns are called (``COLUMNS`` in its metadata; registering an estimator that was fitted on a table
   notes them), the table's must be these, in whatever order; where it does not, the order is the table's own.
2. A model with several inputs takes each from the column of its name.
3. What could be meant in two ways, and columns that nothing takes, are refused with words: a column that is silently
   left out or mixed up is the worst kind of wrong answer.
4. Missing values become NaN where there is one, and are refused elsewhere. Booleans are 0 and 1 among floats, as
   scikit-learn has them.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.client.errors import UnusableArgument
from gateway.client.tensors import Spec, own_type

COLUMNS = "sardonyx.columns"
"""The key of a model's metadata under which the names of its columns stand, as a list in JSON."""

_MOST_NAMED = 8


def is_table(value: Any) -> bool:
    """Return whether a value is a DataFrame of pandas, without importing it."""
    return any(
        kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] == "pandas" for kind in type(value).__mro__
    )


def known_columns(metadata: Mapping[str, Any]) -> list[str] | None:
    """Return what a model's columns are called, None if it does not say."""
    try:
        found = json.loads(metadata.get(COLUMNS, "null"))
    except (TypeError, ValueError):
        return None
    is_list = isinstance(found, list) and all(isinstance(name, str) for name in found)
    return found if is_list and found else None


def inputs_of_table(table: Any, specs: Sequence[Spec], columns: Sequence[str] | None) -> dict[str, Any]:
    """Return the inputs that a table is, by name.

    Args:
        table: a DataFrame.
        specs: the model's inputs.
        columns: what its columns are called, if it says so.

    Raises:
        UnusableArgument: it is not clear what is meant, or a value is missing; the message says what to do.
    """
    names = [str(name) for name in table.columns]
    if len(set(names)) != len(names):
        raise UnusableArgument(f"two columns of the table have the same name: {_listed(names)}")
    required = [spec for spec in specs if not spec.get("optional")] or list(specs)
    if len(required) == 1 and not any(spec["name"] in names for spec in specs if spec is not required[0]):
        return {required[0]["name"]: _rows(table, names, required[0], columns)}
    return _by_name(table, names, specs)


def _rows(table: Any, names: list[str], spec: Spec, columns: Sequence[str] | None) -> Any:
    import numpy as np

    if columns is not None:
        _compare(names, wanted=columns, taken=set(columns))
        places = [names.index(name) for name in columns]
    else:
        if spec["name"] in names and len(names) > 1:
            raise UnusableArgument(
                f"the table has a column {spec['name']}, as the model's only input is called, and {len(names) - 1} "
                f"more: give {{{spec['name']!r}: table[[...]]}} with just the columns that are meant, in their order"
            )
        places = list(range(len(names)))
    arrays = [_column(table.iloc[:, place], names[place], spec["dtype"]) for place in places]
    if spec["shape"] is not None and len(spec["shape"]) == 1 and len(arrays) == 1:
        return arrays[0]
    if spec["dtype"] == "string":
        return np.array(arrays, dtype=object).reshape(len(arrays), len(table)).T
    return np.stack(arrays, axis=1) if arrays else np.empty((len(table), 0))


def _by_name(table: Any, names: list[str], specs: Sequence[Spec]) -> dict[str, Any]:
    required = [spec["name"] for spec in specs if not spec.get("optional")]
    _compare(names, wanted=required, taken={spec["name"] for spec in specs})
    return {spec["name"]: _as_input(table, names, spec) for spec in specs if spec["name"] in names}


def _as_input(table: Any, names: list[str], spec: Spec) -> Any:
    array = _column(table.iloc[:, names.index(spec["name"])], spec["name"], spec["dtype"])
    rank = 1 if spec["shape"] is None else len(spec["shape"])
    if rank == 1:
        return array
    if rank == 2 and spec["shape"][1] in (1, None):  # noqa: PLR2004 - rows of one column
        return array.reshape(-1, 1)
    raise UnusableArgument(
        f"a column of the table cannot be the input {spec['name']}, {spec['dtype']}{list(spec['shape'])}: "
        "give the inputs as a mapping of names to arrays"
    )


def _compare(names: Sequence[str], *, wanted: Sequence[str], taken: set[str]) -> None:
    missing = [name for name in wanted if name not in names]
    others = [name for name in names if name not in taken]
    faults = [f"{word} {_listed(found)}" for word, found in (("lacks", missing), ("has besides", others)) if found]
    if faults:
        raise UnusableArgument(
            f"the table {', and '.join(faults)}; the model takes the columns {_listed(list(wanted))}"
        )


def _column(series: Any, name: str, dtype: str) -> Any:
    import numpy as np

    if dtype != "string" and series.dtype.kind in "mM":
        raise UnusableArgument(f"column {name} holds {series.dtype}, and the model takes {dtype}: make numbers of it")
    is_float = dtype != "string" and np.dtype(own_type(dtype)).kind == "f"
    missing = int(series.isna().sum())
    if missing and not is_float:
        raise UnusableArgument(f"column {name} has {missing} missing values, for which {dtype} has no word")
    if dtype == "string":
        return series.to_numpy(dtype=object)
    if is_float and series.dtype.kind in "biuf":
        is_single = str(series.dtype).lower() in ("float32", "float16")
        return series.to_numpy(dtype=np.float32 if is_single else np.float64, na_value=np.nan)
    return series.to_numpy()


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMED])
    return shown if len(names) <= _MOST_NAMED else f"{shown} and {len(names) - _MOST_NAMED} more"
