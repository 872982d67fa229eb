"""The app that people write by hand for one model: FastAPI, a pydantic body, session.run, lists."""

from pathlib import Path

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel

MODEL = Path(__file__).parents[2] / "examples" / "iris_logistic.onnx"

session = onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])
app = FastAPI()


class PredictRequest(BaseModel):
    inputs: list[list[float]]


class PredictResponse(BaseModel):
    label: list[int]
    probabilities: list[list[float]]


@app.post("/predict")
async def predict(request: PredictRequest) -> PredictResponse:
    x = np.array(request.inputs, dtype=np.float32)
    label, probabilities = session.run(["label", "probabilities"], {"x": x})
    return PredictResponse(label=label.tolist(), probabilities=probabilities.tolist())
