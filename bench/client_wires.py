"""What a predict of the Python client costs its caller, as JSON and as bytes.

    python -m bench.client_wires [--seconds 3]

One gateway, one connection, one request after the other; the model gives back what it gets. In the columns are the
median, and what nine of ten requests took no longer than, in microseconds: the client's work and the gateway's.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles
from typing import Any

import numpy as np

from gateway.client import Client
from tests.support import models
from tests.support.gateway_process import running_gateway

SHAPES = {
    "float32[1, 4]": np.float32,
    "float32[8, 8]": np.float32,
    "float32[16, 16]": np.float32,
    "float32[32, 32]": np.float32,
    "float32[32, 128]": np.float32,
    "float32[1000, 128]": np.float32,
    "int64[1000, 128]": np.int64,
    "float64[1, 3, 224, 224]": np.float64,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each row")
    seconds = parser.parse_args().seconds
    print(f"{'tensor, there and back':26}{'JSON':>10}{'p90':>10}{'bytes':>10}{'p90':>10}{'ratio':>8}")
    with (
        tempfile.TemporaryDirectory(prefix="sardonyx-bench-") as folder,
        running_gateway(Path(folder) / "data", log_level="warning") as gateway,
        Client(gateway.url) as client,
    ):
        for name, dtype in SHAPES.items():
            client.register(models.identity(np.dtype(dtype).name, None), name=np.dtype(dtype).name)
            (_, as_json), (_, as_bytes) = measure(client, name, dtype, seconds)
            (json_median, json_p90), (bytes_median, bytes_p90) = summary(as_json), summary(as_bytes)
            ratio = json_median / bytes_median
            print(f"{name:26}{json_median:10.0f}{json_p90:10.0f}{bytes_median:10.0f}{bytes_p90:10.0f}{ratio:8.2f}")


def measure(client: Client, name: str, dtype: Any, seconds: float) -> list[tuple[bool, list[float]]]:
    """Return what requests took in each form, taken in turns so that both meet the same machine."""
    shape = [int(size) for size in name.partition("[")[2].rstrip("]").split(", ")]
    array = np.random.default_rng(0).normal(size=shape).astype(dtype)
    took: dict[bool, list[float]] = {False: [], True: []}
    for is_binary in turns(seconds):
        begin = time.perf_counter()
        client.predict(f"{np.dtype(dtype).name}:1", array, is_binary=is_binary)
        took[is_binary].append(time.perf_counter() - begin)
    return [(is_binary, found[5:]) for is_binary, found in took.items()]


def turns(seconds: float) -> Iterator[bool]:
    until = time.monotonic() + 2 * seconds
    while time.monotonic() < until:
        yield from (False, True)


def summary(seconds: list[float]) -> tuple[float, float]:
    """Return the median and the ninth decile, in microseconds."""
    deciles = quantiles(seconds, n=10)
    return deciles[4] * 1e6, deciles[8] * 1e6


if __name__ == "__main__":
    main()
