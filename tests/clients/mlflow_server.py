"""An MLflow server with two versions of a model that MLflow itself has logged, and one that it has saved in a folder.

Prints where they are, one JSON object, when they can be asked for; ends when its standard input does.
"""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import mlflow
import mlflow.onnx
import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

NAME = "Scale Net"


def scaling(factor: float) -> ModelProto:
    """Float32 x [batch, 512] -> y, with weights large enough to be kept in a file of their own."""
    weight = numpy_helper.from_array(np.full(512, factor, "float32"), "factor")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 512]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Mul", ["x", "factor"], ["y"])], "s", ends[:1], ends[1:], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def wait_until_it_answers(url: str, server: "subprocess.Popen[bytes]") -> None:
    while server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):  # noqa: S310 - our own server
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise SystemExit("the server has ended")


def fill(url: str) -> None:
    mlflow.set_tracking_uri(url)
    with mlflow.start_run():
        for factor in (2, 3):
            mlflow.onnx.log_model(scaling(factor), name="m", registered_model_name=NAME, pip_requirements=["onnx"])
    client = mlflow.MlflowClient()
    client.set_registered_model_alias(NAME, "champion", "2")
    client.set_registered_model_alias(NAME, "production", "1")
    client.update_model_version(NAME, "1", description="doubles")


def main(folder: Path, port: str) -> None:
    command = ["server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--workers", "1"]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1", "--port", port]
    log = folder / "server.log"
    with log.open("wb") as out:
        server = subprocess.Popen([sys.executable, "-W", "ignore", "-m", "mlflow", *command], stdout=out, stderr=out)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_it_answers(url, server)
        fill(url)
        mlflow.onnx.save_model(scaling(4), str(folder / "saved"), pip_requirements=["onnx"])
        sys.stdout.write("\n" + json.dumps({"url": url, "folder": str(folder / "saved")}) + "\n")
        sys.stdout.flush()
        sys.stdin.read()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
