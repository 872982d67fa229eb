"""KServe's Python server: one worker, the Open Inference Protocol, no line for each request; it has no batching."""

import logging

import kserve
import kserve.model_server
from kserve.protocol.rest.server import RESTServer

from bench.peers.onnx_model import OnnxModel, parse_arguments


class LoopbackServer(RESTServer):  # type: ignore[misc]
    """Theirs listens on every address, and has no switch for it."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)
        self.config.host = "127.0.0.1"


class Model(kserve.Model):  # type: ignore[misc]
    def __init__(self, path: str) -> None:
        super().__init__("model")
        self._model = OnnxModel(path)
        self.ready = True

    def predict(
        self,
        payload: kserve.InferRequest,
        headers: dict[str, str] | None = None,  # noqa: ARG002  their signature
        response_headers: dict[str, str] | None = None,  # noqa: ARG002
    ) -> kserve.InferResponse:
        answer = kserve.InferResponse(payload.id or "", self.name, [])
        for name, array in self._model.run(payload.inputs[0].as_numpy()).items():
            output = kserve.InferOutput(name, list(array.shape), "FP32" if array.dtype == "float32" else "INT64")
            output.set_data_from_numpy(array, binary_data=False)
            answer.outputs.append(output)
        return answer


if __name__ == "__main__":
    asked = parse_arguments()
    kserve.model_server.RESTServer = LoopbackServer
    server = kserve.ModelServer(http_port=asked.port, enable_grpc=False, workers=1, enable_latency_logging=False)
    for name in ("uvicorn.access", "kserve.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)
    server.start([Model(asked.model)])
