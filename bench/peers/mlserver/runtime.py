"""The model as MLServer wants it."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from bench.peers.onnx_model import OnnxModel


class Runtime(MLModel):  # type: ignore[misc]
    async def load(self) -> bool:
        self._onnx = OnnxModel(self.settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        outputs = self._onnx.run(NumpyCodec.decode_input(payload.inputs[0]))
        encoded = [NumpyCodec.encode_output(name, array) for name, array in outputs.items()]
        return InferenceResponse(model_name=self.name, outputs=encoded)
