"""LitServe: batches of whatever is queued, without waiting for more; its quicker queue; no access log."""

from typing import Any

import litserve
import numpy as np

from bench.peers.onnx_model import OnnxModel, parse_arguments

Array = np.ndarray[Any, Any]


class Api(litserve.LitAPI):  # type: ignore[misc]
    def __init__(self, path: str) -> None:
        super().__init__(max_batch_size=32, batch_timeout=0.0, api_path="/predict")
        self._path = path

    def setup(self, device: str) -> None:  # noqa: ARG002  their signature
        self.model = OnnxModel(self._path)

    def decode_request(self, request: dict[str, Any]) -> Array:
        return np.array(request["inputs"], np.float32)

    def batch(self, inputs: list[Array]) -> list[Array]:
        return inputs

    def predict(self, x: list[Array]) -> list[dict[str, Array]]:
        return self.model.run_all(x)

    def unbatch(self, output: list[dict[str, Array]]) -> list[dict[str, Array]]:
        return output

    def encode_response(self, output: dict[str, Array]) -> dict[str, Any]:
        return {name: array.tolist() for name, array in output.items()}


if __name__ == "__main__":
    asked = parse_arguments()
    server = litserve.LitServer(
        Api(asked.model), accelerator="cpu", devices=1, workers_per_device=1, fast_queue=True, timeout=60
    )
    server.run(
        host="127.0.0.1",
        port=asked.port,
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
