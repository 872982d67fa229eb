"""The app that people write by hand for one model: FastAPI, a pydantic body, session.run, lists.

The types of body and answer are those that somebody would write for the model: made here from the model itself, once,
they cost the same.
"""

import os
from typing import Any

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel, create_model

MODEL = os.environ["BENCH_MODEL"]  # noqa: TID251  a program of its own

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1  # not in every tutorial; with more than its core can run it would be far slower
session = onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])
names = [output.name for output in session.get_outputs()]
app = FastAPI()


def nested(element: type, rank: int) -> Any:
    return list[nested(element, rank - 1)] if rank else element  # type: ignore[misc]


PredictRequest = create_model("PredictRequest", inputs=(nested(float, len(session.get_inputs()[0].shape)), ...))
PredictResponse: type[BaseModel] = create_model(
    "PredictResponse",
    **{
        output.name: (nested(int if "int64" in output.type else float, len(output.shape)), ...)
        for output in session.get_outputs()
    },
)


@app.post("/predict")
async def predict(request: PredictRequest) -> PredictResponse:  # type: ignore[valid-type]
    x = np.array(request.inputs, dtype=np.float32)  # type: ignore[attr-defined]
    outputs = session.run(names, {"x": x})
    return PredictResponse(**{name: output.tolist() for name, output in zip(names, outputs, strict=True)})
