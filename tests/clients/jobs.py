"""What the scripts beside this share: jobs done one after another, and what came back written as JSON.

The scripts run in environments of their own, so this imports nothing but numpy.
"""

import importlib.machinery
import json
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np

Job = Callable[[Any], Any]


def spell(array: Any) -> Any:
    """Return an array as JSON can carry it: its dtype, its shape, and every bit (texts as texts)."""
    array = np.asarray(array)
    if array.dtype.kind in "OSU":
        texts = [item.decode() if isinstance(item, bytes) else str(item) for item in array.reshape(-1).tolist()]
        return {"dtype": "text", "shape": list(array.shape), "data": texts}
    return {"dtype": array.dtype.name, "shape": list(array.shape), "bits": array.tobytes().hex()}


def spell_all(arrays: dict[str, Any]) -> Any:
    """Return named arrays as JSON can carry them."""
    return {name: spell(array) for name, array in arrays.items()}


def refusal_of(error: Exception) -> Any:
    """Return an error as JSON can carry it."""
    return {"raised": type(error).__name__, "text": str(error)}


def do(jobs: dict[str, Job], tool: Any) -> None:
    """Do each job with the tool, and print what all of them came to."""
    results = {}
    for name, job in jobs.items():
        try:
            results[name] = job(tool)
        except Exception as error:  # noqa: BLE001 - what a client raises is a result
            results[name] = refusal_of(error)
    json.dump(results, sys.stdout)


def named(*jobs: Job) -> dict[str, Job]:
    """Return the jobs by their functions' names, in their order."""
    return {job.__name__: job for job in jobs}


def without_its_server(package: str) -> None:
    """Let modules of a package be imported without the package's own ``__init__``, which imports a whole server."""
    spec = importlib.machinery.PathFinder.find_spec(package)
    assert spec is not None
    bare = types.ModuleType(package)
    bare.__path__ = list(spec.submodule_search_locations or [])
    sys.modules[package] = bare
