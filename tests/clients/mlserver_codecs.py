"""MLServer's codecs, which make requests and read answers: ``mlserver_codecs.py URL TOKEN``."""

import sys
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pandas as pd
from jobs import do, named, spell, spell_all, without_its_server

without_its_server("mlserver")

from mlserver.codecs import (  # noqa: E402
    NumpyCodec,
    NumpyRequestCodec,
    PandasCodec,
    StringCodec,
    StringRequestCodec,
)
from mlserver.types import InferenceRequest, InferenceResponse, RequestOutput  # noqa: E402

X = np.array([[1.5, -2.25, 0.1, 3.0], [4.0, -0.0, 7.0, 1e38]], np.float32)
PAIR = {"a": np.array([[1.5, 2]], np.float32), "b": np.array([[3, -4]], np.float32)}


@dataclass(frozen=True)
class Tool:
    """Carries requests to a server."""

    url: str
    token: str

    def infer(self, model: str, request: InferenceRequest) -> InferenceResponse:
        asked = Request(  # noqa: S310 - the gateway's own address
            f"{self.url}/v2/models/{model}/infer",
            data=request.model_dump_json(exclude_none=True).encode(),
            headers={"content-type": "application/json", "authorization": f"Bearer {self.token}"},
        )
        with urlopen(asked) as answer:  # noqa: S310 - as above
            return InferenceResponse.model_validate_json(answer.read())


def numpy_request(tool: Tool) -> Any:
    request = NumpyRequestCodec.encode_request(X)
    request.inputs[0].name = "x"
    return spell(NumpyRequestCodec.decode_response(tool.infer("linear", request)))


def numpy_input(tool: Tool) -> Any:
    request = InferenceRequest(id="first", inputs=[NumpyCodec.encode_input("x", X)])
    response = tool.infer("linear", request)
    said = [response.model_name, response.model_version, response.id]
    return [*said, spell_all({each.name: NumpyCodec.decode_output(each) for each in response.outputs})]


def dtypes(tool: Tool) -> Any:
    arrays = {
        "float32": X,
        "float64": np.array([[0.1, 5e-324]]),
        "float16": np.array([[1.5, 6e-8]], np.float16),
        "int64": np.array([[2**63 - 1, -(2**63)]]),
        "uint8": np.array([[0, 255]], np.uint8),
        "bool": np.array([[True, False]]),
    }
    inputs = [NumpyCodec.encode_input(name, array) for name, array in arrays.items()]
    inputs.append(StringCodec.encode_input("string", ["ä", "two words"], use_bytes=False))
    *numbers, texts = tool.infer("same", InferenceRequest(inputs=inputs)).outputs
    return [
        spell_all({each.name: NumpyCodec.decode_output(each) for each in numbers}),
        StringCodec.decode_output(texts),
    ]


def one_output(tool: Tool) -> Any:
    inputs = [NumpyCodec.encode_input(name, array) for name, array in PAIR.items()]
    response = tool.infer("two", InferenceRequest(inputs=inputs, outputs=[RequestOutput(name="difference")]))
    return spell_all({each.name: NumpyCodec.decode_output(each) for each in response.outputs})


def string_request(tool: Tool) -> Any:
    request = StringRequestCodec.encode_request(["ä", "two words"], use_bytes=False)
    request.inputs[0].name = "x"
    return StringRequestCodec.decode_response(tool.infer("texts", request))


def frame(tool: Tool) -> Any:
    rows = pd.DataFrame({"a": np.array([1.5, 2], np.float32), "b": np.array([3, -4], np.float32)})
    answer = PandasCodec.decode_response(tool.infer("two", PandasCodec.encode_request(rows, use_bytes=False)))
    return {column: answer[column].tolist() for column in answer}


JOBS = named(numpy_request, numpy_input, dtypes, one_output, string_request, frame)

if __name__ == "__main__":
    do(JOBS, Tool(*sys.argv[1:]))
