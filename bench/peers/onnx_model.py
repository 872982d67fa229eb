"""What every peer runs: one session with one thread, all its outputs. Imports nothing that a peer may lack."""

import argparse
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime


class OnnxModel:
    """A model with one float32 input ``x``, the batch first."""

    def __init__(self, path: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.row_shape: list[int] = self._session.get_inputs()[0].shape[1:]
        self.outputs = [output.name for output in self._session.get_outputs()]

    def run(self, x: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
        return dict(zip(self.outputs, self._session.run(self.outputs, {"x": x}), strict=True))

    def run_all(self, xs: Sequence[np.ndarray[Any, Any]]) -> list[dict[str, np.ndarray[Any, Any]]]:
        """Run several requests as one batch, and give each its own rows."""
        together = self.run(np.concatenate(xs))
        ends = np.cumsum([len(x) for x in xs])
        return [
            {name: array[end - len(x) : end] for name, array in together.items()}
            for x, end in zip(xs, ends, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line of each peer's ``serve`` takes."""

    model: str
    port: int
    folder: Path


def parse_arguments() -> Asked:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True, help="the .onnx file")
    parser.add_argument("--port", type=int, required=True, help="where to listen, on 127.0.0.1")
    parser.add_argument("--folder", type=Path, required=True, help="an empty folder for what the server needs")
    arguments = parser.parse_args()
    return Asked(arguments.model, arguments.port, arguments.folder)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
