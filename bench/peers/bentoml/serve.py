"""BentoML: one worker with adaptive batching."""

import os
import sys
from pathlib import Path

from bench.peers.onnx_model import parse_arguments

if __name__ == "__main__":
    asked = parse_arguments()
    os.environ |= {"BENCH_MODEL": asked.model, "BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(asked.folder)}
    options = ["--host", "127.0.0.1", "--port", str(asked.port), "--api-workers", "1"]
    program = str(Path(sys.executable).with_name("bentoml"))
    os.execv(program, [program, "serve", "bench.peers.bentoml.service:Served", *options])
