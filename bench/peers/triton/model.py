"""The model as Triton's Python back end wants it: all requests of a batch in one run."""

import json
from typing import Any

import triton_python_backend_utils as triton

from bench.peers.onnx_model import OnnxModel


class TritonPythonModel:
    def initialize(self, arguments: dict[str, str]) -> None:
        parameters = json.loads(arguments["model_config"])["parameters"]
        self._model = OnnxModel(parameters["path"]["string_value"])

    def execute(self, requests: list[Any]) -> list[Any]:
        xs = [triton.get_input_tensor_by_name(request, "x").as_numpy() for request in requests]
        return [
            triton.InferenceResponse([triton.Tensor(name, array) for name, array in outputs.items()])
            for outputs in self._model.run_all(xs)
        ]
