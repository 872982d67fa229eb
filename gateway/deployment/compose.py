"""What Compose runs: gateways, a registry, HAProxy before them, PostgreSQL and an S3 server, on one machine.

It is the whole of a deployment on many machines, to be tried on one. The proxy's configuration is inside: Compose reads
``$`` as the beginning of a variable, so each one is doubled.
"""

from dataclasses import replace
from typing import Final

from gateway.deployment.deployed import Deployment, Server
from gateway.deployment.haproxy import hard_stop_seconds, print_haproxy

REGISTRY: Final = "registry"

_PORT: Final = 8000
_GRPC_PORT: Final = 8001
_DRAIN_SECONDS: Final = 5
_STOP_SECONDS: Final = 35
"""What a gateway takes to end at most, after its drain."""
_SPARE_SECONDS: Final = 5

_S3: Final = (
    '["mini", "-dir=/data", "-bucket=models", "-s3.port=8333", "-master.telemetry=false", "-webdav=false", '
    '"-admin.ui=false"]'
)
_HEAD: Final = """\
# Sardonyx on one machine as it is on many; printed by 'sardonyx deploy print compose'.
# docker compose -f FILE up --detach; then: docker compose -f FILE exec registry sardonyx token create ada --role admin
#
# The passwords come from the environment or from a file .env beside this one; there are no defaults:
#   POSTGRES_PASSWORD   letters and digits, since it stands in a URL
#   S3_ACCESS_KEY, S3_SECRET_KEY

x-sardonyx: &sardonyx
  image: {image}
  read_only: true
  cap_drop: [ALL]
  security_opt: ["no-new-privileges:true"]

x-environment: &environment
  SARDONYX_DATABASE_URL: postgresql+psycopg://sardonyx:${{POSTGRES_PASSWORD:?}}@postgres/sardonyx
  SARDONYX_STORE: s3://models/store
  SARDONYX_S3_ENDPOINT_URL: http://s3:8333
  SARDONYX_DRAIN_SECONDS: "{drain}"
  SARDONYX_PREDICT_TIMEOUT_SECONDS: "{timeout:g}"
  AWS_ACCESS_KEY_ID: ${{S3_ACCESS_KEY:?}}
  AWS_SECRET_ACCESS_KEY: ${{S3_SECRET_KEY:?}}
  AWS_DEFAULT_REGION: us-east-1

services:
  postgres:
    image: postgres:18
    environment:
      POSTGRES_USER: sardonyx
      POSTGRES_PASSWORD: ${{POSTGRES_PASSWORD:?}}
      POSTGRES_DB: sardonyx
    volumes: ["postgres:/var/lib/postgresql"]
    healthcheck:
      test: ["CMD", "pg_isready", "-h", "127.0.0.1", "-U", "sardonyx"]
      interval: 2s
      timeout: 5s
      retries: 30

  s3:
    image: chrislusf/seaweedfs:4.48
    command: {s3}
    environment:
      AWS_ACCESS_KEY_ID: ${{S3_ACCESS_KEY:?}}
      AWS_SECRET_ACCESS_KEY: ${{S3_SECRET_KEY:?}}
    volumes: ["s3:/data"]
    healthcheck:
      test: ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8333/healthz"]
      interval: 2s
      timeout: 5s
      retries: 30

  migrate:
    <<: *sardonyx
    environment: *environment
    command: ["db", "upgrade"]
    restart: on-failure
    depends_on:
      postgres: {{condition: service_healthy}}
    tmpfs: ["/data:uid=10001,gid=10001,mode=0700"]
"""

_SERVICE: Final = """\
  {name}:
    <<: *sardonyx
    environment:
      <<: *environment
      SARDONYX_ROLE: {role}{more}
    depends_on:
      migrate: {{condition: service_completed_successfully}}
      s3: {{condition: service_healthy}}
    volumes: ["{name}:/data"]
    restart: unless-stopped
    stop_grace_period: {grace}s
    mem_limit: 4g
"""

_RING_ID: Final = """
      SARDONYX_RING_ID: "{id}\""""

_PROXY: Final = """\
  proxy:
    image: {image}
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    configs: [{{source: haproxy, target: /usr/local/etc/haproxy/haproxy.cfg}}]
    depends_on: [{names}]
    ports: [{ports}]
    restart: unless-stopped
    stop_grace_period: {grace}s
"""


def describe_compose(deployment: Deployment) -> Deployment:
    """Return a deployment as it is inside Compose: as many gateways, reached by the names of their services."""
    grpc_port = None if deployment.grpc_port is None else _GRPC_PORT
    gateways = tuple(
        Server(id=gateway.id, name=gateway.name, host=gateway.name, port=_PORT, grpc_port=grpc_port)
        for gateway in deployment.gateways
    )
    registry = Server(id=1, name=REGISTRY, host=REGISTRY, port=_PORT)
    return replace(deployment, gateways=gateways, registries=(registry,), host="*", dns=True)


def print_compose(deployment: Deployment, *, image: str = "sardonyx", proxy_image: str = "haproxy:2.6") -> str:
    """Return the file: the gateways of the deployment by name, on ports of their own network, and a registry.

    Args:
        deployment: whose gateways, proxy ports, balance and settings are meant; addresses are Compose's own.
        image: of gateways and registry.
        proxy_image: of the proxy.
    """
    inside = describe_compose(deployment)
    timeout = deployment.settings.predict_timeout_seconds
    head = _HEAD.format(image=image, drain=_DRAIN_SECONDS, timeout=timeout, s3=_S3)
    grpc = f'\n      SARDONYX_GRPC_PORT: "{_GRPC_PORT}"' if inside.grpc_port is not None else ""
    grace = _DRAIN_SECONDS + _STOP_SECONDS + _SPARE_SECONDS
    services = [
        _SERVICE.format(name=each.name, role="gateway", more=f"{_RING_ID.format(id=each.id)}{grpc}", grace=grace)
        for each in inside.gateways
    ]
    services.append(_SERVICE.format(name=REGISTRY, role="registry", more="", grace=grace))
    names = [*(gateway.name for gateway in inside.gateways), REGISTRY]
    ports = [port for port in (inside.port, inside.grpc_port) if port is not None]
    proxy = _PROXY.format(
        image=proxy_image,
        names=", ".join(names),
        ports=", ".join(f'"127.0.0.1:{port}:{port}"' for port in ports),
        grace=hard_stop_seconds(inside) + _SPARE_SECONDS,
    )
    return "\n".join([head, *services, proxy, _configs(inside), _volumes(names)])


def _configs(inside: Deployment) -> str:
    written = print_haproxy(inside).replace("$", "$$")
    lines = [f"      {line}".rstrip() for line in written.splitlines()]
    return "\n".join(["configs:", "  haproxy:", "    content: |", *lines, ""])


def _volumes(names: list[str]) -> str:
    return "\n".join(["volumes:", *(f"  {name}:" for name in ("postgres", "s3", *names)), ""])
