"""Requests that schemathesis makes up from the OpenAPI document of a running gateway, each answer held against it.

    make schemathesis                              ten minutes
    make schemathesis ARGS="--seconds 60 --seed 7"

The gateway is this run's own: everything in it may be promoted, retired and revoked. What routes there are is what the
document says, those of other protocols included. Its environment is its own too (``requirements.txt`` beside this).
"""

import argparse
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.environments import find_environment
from gateway.client import Client
from tests.support import models
from tests.support.gateway_process import GatewayProcess, clean_environment, running_gateway
from tests.support.tokens import make_token

HERE = Path(__file__).parent

SERVED = {
    "linear": models.linear,
    "pair": models.two_inputs_one_symbol,
    "scalar": models.scalar_scale,
    "text": models.string_twice,
    "optional": models.optional_bias,
}
"""One of each kind of body; each is promoted, so that the document has a typed route for it."""

LEFT_OUT = {
    "positive_data_acceptance": "JSON Schema has no words for rules between fields: symbolic sizes that must agree, as"
    " many data as the shape has, golden examples that must be right, bytes that must be a model, a cursor that must be"
    " one; tests/e2e/test_openapi_documents.py sends what the document calls examples",
    "object_level_authorization": "it needs two users' resources; tests/e2e/test_access_tokens.py has those",
}
"""Checks that make no sense here, and why."""

SHARE_WITH_TOKENS = 0.2
"""Of the time, with access tokens on: for what is asked without one, or with a wrong one."""


def main() -> int:
    """Return 0 if nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.schemathesis")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    asked = parser.parse_args()
    python = find_environment("schemathesis", HERE / "requirements.txt")
    with_tokens = max(round(asked.seconds * SHARE_WITH_TOKENS), 1)
    print(f"seed {asked.seed}, {asked.seconds} seconds, {with_tokens} of them with access tokens", flush=True)
    for check, reason in LEFT_OUT.items():
        print(f"left out: {check}: {reason}", flush=True)
    found = [
        _try(python, asked.seconds - with_tokens, asked.seed, auth="off"),
        _try(python, with_tokens, asked.seed, auth="on"),
    ]
    return int(any(found))


def _try(python: Path, seconds: int, seed: int, *, auth: str) -> bool:
    """Return whether anything was found with a gateway of its own."""
    with tempfile.TemporaryDirectory() as folder, running_gateway(Path(folder) / "data", auth=auth) as gateway:
        token = make_token(gateway.data_dir, "admin").text if auth == "on" else None
        _serve_models(gateway, token)
        print(f"\naccess tokens {auth}", flush=True)
        exit_code = _run(python, gateway, token, seconds, seed)
        mistakes = [line for line in gateway.log_lines() if line.get("event") == "unexpected_error"]
    print(f"exit code {exit_code}, {len(mistakes)} unexpected errors in the log", *mistakes[:3], sep="\n", flush=True)
    return bool(exit_code or mistakes)


def _serve_models(gateway: GatewayProcess, token: str | None) -> None:
    with Client(gateway.url, token=token) as client:
        for name, make in SERVED.items():
            client.register(make().SerializeToString(), name=name)
            client.promote(name, 1)


def _run(python: Path, gateway: GatewayProcess, token: str | None, seconds: int, seed: int) -> int:
    # A token that the run may revoke itself would end it in refusals.
    presented = () if token is None else ("--header", f"Authorization: Bearer {token}")
    command = [
        *(str(python.with_name("schemathesis")), "--config-file", str(HERE / "schemathesis.toml")),
        *("run", f"{gateway.url}/openapi.json", *presented),
        # One worker: two threads at once trip over CPython 3.11's parser of syntax trees.
        *("--max-time", str(seconds), "--seed", str(seed), "--workers", "1"),
        *("--exclude-checks", ",".join(LEFT_OUT), "--continue-on-failure", "--warnings", "off"),
        *(("--exclude-path-regex", "^/registry/tokens") if token is not None else ()),
    ]
    return subprocess.run(command, check=False, env=clean_environment(), cwd=gateway.data_dir).returncode


if __name__ == "__main__":
    sys.exit(main())
