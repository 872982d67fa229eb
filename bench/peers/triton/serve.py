"""Triton: the server that nvidia-pytriton ships, with its Python back end and dynamic batching without a delay.

The wheel has no ONNX back end; with it, the hop to the Python process would be saved. pytriton's own way of starting it
fails where its stub was built for another patch level of Python, so the server is started with a model repository.
"""

import json
import os
import shutil
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np

from bench.peers.onnx_model import OnnxModel, parse_arguments

SITE = Path(str(files("pytriton"))).parent
HOME = SITE / "pytriton" / "tritonserver"
ROOT = Path(__file__).parents[3]
TYPES = {"float32": "TYPE_FP32", "int64": "TYPE_INT64"}


def write_repository(folder: Path, path: str) -> None:
    """Write a model repository with one model in it. What it runs looks for its imports in no environment by itself."""
    model = OnnxModel(path)
    described = [f"input [{{ name: 'x' data_type: TYPE_FP32 dims: {model.row_shape} }}]"]
    for name, array in model.run(np.zeros((1, *model.row_shape), np.float32)).items():
        dims = f"dims: {list(array.shape[1:])}" if array.ndim > 1 else "dims: [1] reshape: { shape: [] }"
        described.append(f"output [{{ name: '{name}' data_type: {TYPES[str(array.dtype)]} {dims} }}]")
    settings = [
        "backend: 'python'",
        "max_batch_size: 64",
        *described,
        "instance_group [{ kind: KIND_CPU count: 1 }]",
        "dynamic_batching { max_queue_delay_microseconds: 0 }",
        f"parameters [{{ key: 'path' value: {{ string_value: {json.dumps(path)} }} }}]",
    ]
    version = folder / "model" / "1"
    version.mkdir(parents=True)
    (folder / "model" / "config.pbtxt").write_text("\n".join(settings) + "\n")
    imports = f"import sys\nsys.path[:0] = {[str(SITE), str(ROOT)]}\n"
    (version / "model.py").write_text(f"{imports}from bench.peers.triton.model import TritonPythonModel\n")


if __name__ == "__main__":
    asked = parse_arguments()
    write_repository(asked.folder / "repository", asked.model)
    backends = asked.folder / "backends"
    shutil.copytree(HOME / "backends", backends)
    stub = HOME / "python_backend_stubs" / "{}.{}".format(*sys.version_info) / "triton_python_backend_stub"
    shutil.copy(stub, backends / "python")
    (backends / "python" / stub.name).chmod(0o755)
    libraries = f"{SITE / 'nvidia_pytriton.libs'}:{Path(sys.base_prefix, 'lib')}"
    command = [
        str(HOME / "bin" / "tritonserver"),
        f"--model-repository={asked.folder / 'repository'}",
        f"--backend-directory={backends}",
        "--http-address=127.0.0.1",
        f"--http-port={asked.port}",
        "--http-thread-count=1",
        "--allow-grpc=false",
        "--allow-metrics=false",
    ]
    os.execve(command[0], command, {**os.environ, "LD_LIBRARY_PATH": libraries, "PYTHONHOME": sys.base_prefix})
