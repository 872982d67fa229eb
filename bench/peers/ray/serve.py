"""Ray Serve: one replica, batches of whatever is queued, without waiting for more.

Its throughput settings are on, and the replica is asked at its own port, past the proxy that it has for several.
"""

import os
import signal
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_SERVE_THROUGHPUT_OPTIMIZED"] = "1"
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # how it is told to stay on loopback

import numpy as np
import ray
from ray import serve
from starlette.requests import Request

from bench.peers.onnx_model import Asked, OnnxModel, free_port, parse_arguments

Array = np.ndarray[Any, Any]


@serve.deployment(num_replicas=1, max_ongoing_requests=128, logging_config={"enable_access_log": False})
class Served:
    def __init__(self, path: str) -> None:
        self._model = OnnxModel(path)

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.0)
    async def _run(self, xs: list[Array]) -> list[dict[str, Array]]:
        return self._model.run_all(xs)

    async def __call__(self, request: Request) -> dict[str, Any]:
        outputs = await self._run(np.array((await request.json())["inputs"], np.float32))
        return {name: array.tolist() for name, array in outputs.items()}


def main(asked: Asked) -> None:
    os.environ["RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT"] = str(asked.port)
    os.environ["RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT"] = str(asked.port + 1)
    ray.init(
        num_cpus=1,
        include_dashboard=False,
        configure_logging=False,
        _temp_dir=str(asked.folder),
        object_store_memory=256 << 20,
        runtime_env={"worker_process_setup_hook": "bench.peers.ray.loopback.stay_on_loopback"},
    )
    serve.start(http_options={"host": "127.0.0.1", "port": free_port(), "location": "HeadOnly"})
    serve.run(Served.bind(asked.model), name="model", route_prefix="/predict")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    ray.shutdown()


if __name__ == "__main__":
    main(parse_arguments())
