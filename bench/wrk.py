"""The load generator: wrk, on a core of its own, told to report in JSON."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

from bench.servers import HOST, pinned

TIMEOUT = "10s"
"""What is slower counts as an error. Some connections starve for seconds where a server is at its limit."""

_SCRIPT = """
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
{headers}
wrk.body = [==[{body}]==]

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\nREPORT {{"requests": %d, "microseconds": %d, "p50": %d, "p90": %d, "p99": %d, "p999": %d, "errors": %d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(90), latency:percentile(99),
    latency:percentile(99.9), e.status + e.connect + e.read + e.write + e.timeout))
end
"""


class LoadFailedError(Exception):
    """wrk is missing, or did not report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one run of the load generator saw."""

    requests: int
    seconds: float
    p50_us: int
    p90_us: int
    p99_us: int
    p999_us: int
    error_count: int
    """Answers of status 400 and above, and socket errors and timeouts."""

    @property
    def requests_per_second(self) -> float:
        return self.requests / self.seconds


def find_wrk() -> str:
    """Return the program's path; installs it where we are root and apt-get is there."""
    if shutil.which("wrk") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print("installing wrk ...", flush=True)
        command = ["apt-get", "install", "-y", "-qq", "wrk"]
        subprocess.run(command, check=False, capture_output=True)
    found = shutil.which("wrk")
    if found is None:
        raise LoadFailedError("wrk is needed: apt-get install wrk, dnf install wrk or brew install wrk")
    return found


def run_wrk(
    wrk: str,
    *,
    port: int,
    path: str,
    body: bytes,
    headers: Mapping[str, str],
    connections: int,
    seconds: int,
    core: int,
) -> Load:
    """Send the body for so many seconds over so many keep-alive connections."""
    url = f"http://{HOST}:{port}{path}"
    lines = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items())
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script, pinned(core):
        script.write(_SCRIPT.format(body=body.decode(), headers=lines))
        script.flush()
        command = [
            wrk,
            "-t",
            "1",
            "-c",
            str(connections),
            "-d",
            f"{seconds}s",
            "--timeout",
            TIMEOUT,
            "-s",
            script.name,
            url,
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    reports = [line.removeprefix("REPORT ") for line in done.stdout.splitlines() if line.startswith("REPORT ")]
    if len(reports) != 1:
        raise LoadFailedError(f"wrk did not report: {done.stdout}{done.stderr}")
    report = json.loads(reports[0])
    return Load(
        requests=report["requests"],
        seconds=report["microseconds"] / 1e6,
        p50_us=report["p50"],
        p90_us=report["p90"],
        p99_us=report["p99"],
        p999_us=report["p999"],
        error_count=report["errors"],
    )
