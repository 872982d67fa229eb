"""What the columns of a pasted table are called, so that none is taken for another.

1. A model with one required input takes a table as its rows. Its metadata may name the columns (``COLUMNS``;
   registering an estimator that was fitted on a table notes them): a table with names is then put in order by them.
2. A model with an input for each column takes each from the column of its name.

The client reads tables of pandas in the same way (``gateway.client.tables``); a test holds the two together.
"""

import json
from collections.abc import Mapping
from typing import Final

from registry.records import Version
from registry.signature import Signature
from registry.tensor import TensorSpec

COLUMNS: Final = "sardonyx.columns"
"""The key of a model's metadata under which the names of its columns stand, as a list in JSON."""


def columns_of(version: Version) -> Mapping[str, list[str]]:
    """Return the names of the columns by the input that takes them; nothing where the model does not say."""
    inputs = version.signature.inputs
    required = [spec for spec in inputs if not spec.optional] or list(inputs)
    names = _noted(version.inspection.metadata)
    return {required[0].name: names} if names and len(required) == 1 else {}


def has_input_for_each_column(signature: Signature) -> bool:
    """Return whether one table can fill in all inputs: there are several, and each is a column."""
    required = [spec for spec in signature.inputs if not spec.optional]
    return len(required) > 1 and all(map(_is_column, signature.inputs))


def _noted(metadata: Mapping[str, str]) -> list[str]:
    try:
        found = json.loads(metadata.get(COLUMNS, "null"))
    except ValueError:  # it was cut
        return []
    is_list = isinstance(found, list) and all(isinstance(name, str) for name in found)
    return found if is_list else []


def _is_column(spec: TensorSpec) -> bool:
    shape = spec.shape
    return spec.is_tensor and (shape is None or len(shape) == 1 or (len(shape) == 2 and shape[1] in (1, None)))  # noqa: PLR2004 - rows of one column
