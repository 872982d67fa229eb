"""Start the gateway with the example models in it: what ``make run`` does.

    python examples/first_run.py [--port 8000]

Registers the models of this folder over the gateway's own REST routes, promotes one unless one is promoted already,
says how to predict with it, and stays until Ctrl-C. Running it again finds everything in place.
"""

import argparse
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

HOST = "127.0.0.1"
START_SECONDS = 60
EXAMPLES = Path(__file__).parent
MODELS = (
    ("iris", "iris_logistic.onnx", "Logistic regression on Fisher's irises"),
    ("iris", "iris_forest.onnx", "Random forest on Fisher's irises"),
    ("blend", "blend.onnx", "Blends two tables of numbers"),
)
WELCOME = """
Sardonyx is ready: models iris (versions {versions}) and blend. Predict with what is promoted:

  curl -s http://{host}:{port}/models/iris/predict -H 'content-type: application/json' -d '{body}'

  console: http://{host}:{port}/console
  documentation: http://{host}:{port}/docs
  Ctrl-C stops it
"""
HOW_TO_GET_IN = "SARDONYX_TOKEN=$(sardonyx token create examples --role admin) make run"
BODY = '{"inputs": {"x": [[5.1, 3.5, 1.4, 0.2]]}}'


class StopAsked(BaseException):
    """Somebody wants the gateway to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class RefusedError(Exception):
    """The gateway did not do what the examples need."""


def main() -> int:
    """Return the exit code: the gateway's own, or 1 if it never got that far."""
    port = parse_port()
    if is_busy(port):
        other = port + 1 if port < 65_535 else port - 1
        print(f"port {port} is in use; choose another with SARDONYX_PORT={other} make run", file=sys.stderr)
        return 1
    command = [str(Path(sys.executable).with_name("sardonyx")), "serve", "--host", HOST, "--port", str(port)]
    # A process group of its own: Ctrl-C reaches the gateway once, through us, and not a second time from the terminal.
    # The terminal is for the words below; SARDONYX_LOG_LEVEL=info brings back the line for each request.
    environment = {"SARDONYX_LOG_LEVEL": "warning", **os.environ}  # noqa: TID251  a program of its own
    gateway = subprocess.Popen(command, env=environment, process_group=0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask_to_stop)
    try:
        introduce(gateway, port)
        return gateway.wait()
    except StopAsked as stop:
        return stop_gateway(gateway, stop.number)
    except (RefusedError, OSError, http.client.HTTPException) as error:
        print(f"the examples could not be set up: {error}", file=sys.stderr)
        stop_gateway(gateway, signal.SIGTERM)
        return 1


def parse_port() -> int:
    """Return the port of the command line, else of SARDONYX_PORT, else 8000."""
    parser = argparse.ArgumentParser(description="Start the gateway with the example models in it.")
    default = os.environ.get("SARDONYX_PORT", "8000")  # noqa: TID251  a program of its own, in front of the gateway
    parser.add_argument("--port", type=int, default=default)
    port: int = parser.parse_args().port
    if not 0 < port < 65_536:
        parser.error(f"{port} is not a port: choose 1 to 65535")
    return port


def is_busy(port: int) -> bool:
    """True if the gateway could not listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
        return False


def ask_to_stop(number: int, _frame: FrameType | None) -> None:
    """Leave whatever is being done, as the handler of a signal."""
    raise StopAsked(number)


def stop_gateway(gateway: "subprocess.Popen[bytes]", number: int) -> int:
    """Pass the signal on, and every further one, and return the exit code of the gateway."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda again, _frame: gateway.send_signal(again))
    gateway.send_signal(number)
    return gateway.wait()


def introduce(gateway: "subprocess.Popen[bytes]", port: int) -> None:
    """Wait for the gateway, register and promote, and say how to go on; returns early if the gateway has ended."""
    if not wait_until_ready(gateway, port):
        return
    versions: dict[str, list[int]] = {}
    for model, file_name, description in MODELS:
        versions.setdefault(model, []).append(register(port, model, EXAMPLES / file_name, description))
    promote_unless_promoted(port, "iris", versions["iris"][0])
    numbers = " and ".join(str(number) for number in sorted(versions["iris"]))
    print(WELCOME.format(host=HOST, port=port, versions=numbers, body=BODY), flush=True)


def wait_until_ready(gateway: "subprocess.Popen[bytes]", port: int) -> bool:
    """Ask until the gateway is ready; False if it has ended instead."""
    deadline = time.monotonic() + START_SECONDS
    answer: Any = "no answer"
    while gateway.poll() is None:
        try:
            status, answer = ask(port, "GET", "/health/ready")
        except (OSError, http.client.HTTPException):
            status = 0
        if status == 200:
            return True
        if time.monotonic() > deadline:
            raise RefusedError(f"it was not ready after {START_SECONDS} seconds: {answer}")
        time.sleep(0.05)
    return False


def register(port: int, model: str, path: Path, description: str) -> int:
    """Upload a file and return the number of the version that has its bytes, be it new or old."""
    query = "description=" + description.replace(" ", "%20").replace("'", "%27")
    route = f"/registry/models/{model}/versions?{query}"
    status, answer = ask(port, "POST", route, path.read_bytes(), "application/octet-stream")
    if status not in {200, 201}:
        raise RefusedError(f"{path.name} was refused: {answer}")
    number: int = answer["version"]
    return number


def promote_unless_promoted(port: int, model: str, version: int) -> None:
    """Point ``production`` at the version, unless it points somewhere already."""
    route = f"/registry/models/{model}/aliases/production"
    status, _ = ask(port, "GET", route)
    if status == 200:
        return
    body = json.dumps({"version": version, "expected": None, "reason": "the first example"}).encode()
    status, answer = ask(port, "PUT", route, body)
    if status not in {200, 201}:
        raise RefusedError(f"version {version} was not promoted: {answer}")


def ask(
    port: int, method: str, route: str, body: bytes | None = None, content_type: str = "application/json"
) -> tuple[int, Any]:
    """Send one request and return the status and the JSON of the answer."""
    headers = {"content-type": content_type} if body is not None else {}
    token = os.environ.get("SARDONYX_TOKEN")  # noqa: TID251  as above: where the gateway asks for tokens, so must we
    if token:
        headers["authorization"] = f"Bearer {token}"
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    try:
        connection.request(method, route, body, headers)
        answer = connection.getresponse()
        if answer.status == 401:
            raise RefusedError(f"the gateway asks for an access token: {HOW_TO_GET_IN}")
        return answer.status, json.loads(answer.read() or b"null")
    except ValueError as error:
        raise RefusedError(f"port {port} answered something that is not JSON") from error
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
