"""Clients that people already have, run in environments of their own against a gateway."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, helper

from tests.clients.jobs import spell_all
from tests.support import models
from tests.support.environments import NoNetworkError, is_unattended, make_environment
from tests.support.gateway_process import clean_environment
from tests.support.uploads import promote, upload

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "tests" / "clients"
ENVIRONMENTS = ROOT / ".clients"
"""Where the environments lie once they are made. Git ignores it."""

SECONDS = 100


TABLE = ("rows", "columns")
DTYPES = ("float32", "float64", "float16", "int64", "uint8", "bool", "string")


def sum_and_difference() -> ModelProto:
    """Float32 a and b [rows, columns] -> sum, difference."""
    nodes = [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Sub", ["a", "b"], ["difference"])]
    inputs = [models.value(name, shape=TABLE) for name in ("a", "b")]
    return models.model(nodes, inputs, [models.value(name, shape=TABLE) for name in ("sum", "difference")])


def same(*dtypes: str) -> ModelProto:
    """For each dtype an input of its name [any, any] -> an output, the same."""
    return models.model(
        [helper.make_node("Identity", [dtype], [f"same_{dtype}"]) for dtype in dtypes],
        [models.value(dtype, dtype, (None, None)) for dtype in dtypes],
        [models.value(f"same_{dtype}", dtype, (None, None)) for dtype in dtypes],
    )


SERVED: Mapping[str, tuple[ModelProto, ...]] = {
    "linear": (models.linear(seed=1), models.linear(seed=2)),
    "two": (sum_and_difference(),),
    "same": (same(*DTYPES),),
    "texts": (models.identity("string", TABLE),),
    "brain": (models.identity("bfloat16", TABLE),),
}
"""What the gateway serves, all versions; the first of each is promoted."""


def register(client: httpx.Client, *names: str) -> None:
    """Register and promote these of what is ``SERVED``."""
    for name in names:
        versions = SERVED[name]
        for version in versions:
            upload(client, name, version)
        promote(client, name)


def computed(name: str, version: int = 1, **feed: Any) -> Any:
    """Return what the runtime answers in process, spelled as the scripts spell it."""
    session = onnxruntime.InferenceSession(
        SERVED[name][version - 1].SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return spell_all(dict(zip([each.name for each in session.get_outputs()], session.run(None, feed), strict=True)))


def run_client(script: str, *arguments: str, environment: str = "clients") -> Any:
    """Run a script of a client in its environment, and return what its jobs came to."""
    try:
        python = make_environment(ENVIRONMENTS / environment, SCRIPTS / environment / "requirements.txt")
    except NoNetworkError as error:
        if is_unattended():
            raise
        pytest.skip(f"no network to install these clients from: {error}")
    done = subprocess.run(
        [str(python), "-W", "ignore", str(SCRIPTS / script), *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


def spelled(**arrays: Any) -> Any:
    """Return arrays as the scripts spell them."""
    return spell_all({name: np.asarray(array) for name, array in arrays.items()})
