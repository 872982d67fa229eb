"""MLServer: the model in the server's own process (quicker here than its pool), adaptive batching.

Its window is short, because it is waited out even when nobody else has asked.
"""

import json
import os
import sys
from pathlib import Path

from bench.peers.onnx_model import free_port, parse_arguments

if __name__ == "__main__":
    asked = parse_arguments()
    settings = {
        "host": "127.0.0.1",
        "http_port": asked.port,
        "grpc_port": free_port(),
        "metrics_endpoint": None,
        "parallel_workers": 0,
        "debug": False,
    }
    model = {
        "name": "model",
        "implementation": "bench.peers.mlserver.runtime.Runtime",
        "parameters": {"uri": str(Path(asked.model).resolve())},
        "max_batch_size": 32,
        "max_batch_time": 0.0005,
    }
    (asked.folder / "settings.json").write_text(json.dumps(settings))
    (asked.folder / "model-settings.json").write_text(json.dumps(model))
    os.execv(str(Path(sys.executable).with_name("mlserver")), ["mlserver", "start", str(asked.folder)])
