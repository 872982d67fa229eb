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

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "tests" / "clients"
ENVIRONMENTS = ROOT / ".clients"
"""Where the environments lie once they are made. Git ignores it."""

SECONDS = 60


def neg_and_square() -> ModelProto:
    """Float32 x [batch] -> minus, square."""
    nodes = [helper.make_node("Neg", ["x"], ["minus"]), helper.make_node("Mul", ["x", "x"], ["square"])]
    return models.model(nodes, [models.value("x")], [models.value("minus"), models.value("square")])


def same(dtype: str) -> ModelProto:
    """X of two dimensions -> y, the same."""
    return models.identity(dtype, ("rows", "columns"))


SERVED: Mapping[str, tuple[ModelProto, ...]] = {
    "linear": (models.linear(seed=1), models.linear(seed=2), models.linear(seed=3)),
    "pair": (models.two_inputs_one_symbol(),),
    "two": (neg_and_square(),),
    "to-load": (models.linear(seed=4),),
    **{
        f"same-{dtype}": (same(dtype),)
        for dtype in ("float32", "int64", "bool", "float16", "bfloat16", "uint8", "float64", "string")
    },
}
"""What the gateway serves, all versions; of ``linear`` the second is promoted, of the others their only one."""


def register(client: httpx.Client, *names: str) -> None:
    """Register and promote these of what is ``SERVED``."""
    for name in names:
        versions = SERVED[name]
        for version in versions:
            answer = client.post(
                f"/registry/models/{name}/versions",
                content=version.SerializeToString(),
                headers={"content-type": "application/octet-stream"},
            )
            assert answer.status_code == 201, answer.text
        answer = client.put(f"/registry/models/{name}/aliases/production", json={"version": min(2, len(versions))})
        assert answer.status_code == 200, answer.text


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
