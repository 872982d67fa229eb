"""The service as BentoML wants it. Its adaptive batching joins the rows of several requests, and parts the answer."""

import os
from typing import Annotated, Any

import bentoml
import numpy as np
from bentoml.validators import DType

from bench.peers.onnx_model import OnnxModel


@bentoml.service(
    workers=1, threads=1, traffic={"timeout": 60}, metrics={"enabled": False}, logging={"access": {"enabled": False}}
)
class Served:
    def __init__(self) -> None:
        self._model = OnnxModel(os.environ["BENCH_MODEL"])

    @bentoml.api(batchable=True, batch_dim=0, max_batch_size=32, max_latency_ms=1000)
    def predict(self, inputs: Annotated[np.ndarray, DType("float32")]) -> list[Any]:
        outputs = self._model.run(inputs)
        lists = [array.tolist() for array in outputs.values()]
        return [dict(zip(outputs, ([value] for value in row), strict=True)) for row in zip(*lists, strict=True)]
