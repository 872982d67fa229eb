"""The configuration of HAProxy, 2.6 or newer, before several gateways.

1. The key of a request (``gateway.placement.keys``) is hashed onto a consistent ring, on which each server's id has its
   places; bounded load sends what is too much for a gateway to the next ones. Requests without a key go round.
2. A gRPC message is looked into: the model's name and version are its first fields. Calls that stream, and compressed
   messages, have no key unless metadata name it.
3. A request is sent to another gateway only if no run has begun: it could not be sent, or the gateway says so with the
   status 425, which it does for a proxy that asks it to (``gateway.web.elsewhere``). The whole request has to be in the
   proxy's buffer for that: a longer body is answered with what the first gateway says. Callers see 503 instead of 425.
4. What the registry serves goes to the first registry that is ready; while there is none, what callers read is answered
   by gateways.
5. A gateway that is not ready, since it is about to end, gets nothing new; one that does not answer is gone. What was
   under way there then ends only where predictions are sent again (``--replays``) and a registry answers all else: it
   might still be answered.
6. Times agree with those of the gateways: a gateway's own answers about deadlines come before the proxy's. To register
   a model may take minutes, whoever is asked; a stream of gRPC may be quiet for an hour.

HAProxy 2.6 has no other key for the ring than a server's id (``hash-key`` came later), and tries only the two gateways
that come first on the ring for a key in turn, however many retries there are.
"""

import math
from collections.abc import Iterator
from typing import Final

from gateway.deployment.deployed import Deployment, Server, address
from gateway.placement.elsewhere import ASKING, NOT_READY, NOT_READY_STATUS, STATUS
from gateway.placement.keys import GRPC_INFER, KEY_HEADER, SHAPES
from gateway.placement.ring import HASH_TYPE, WEIGHT

LIVE: Final = "/proxy/live"
"""Where the proxy says that it lives itself."""

BUFFER_BYTES: Final = 64 * 1024
"""So long may a request be that can be sent to another gateway after one has refused it."""

_HEAD_SECONDS: Final = 10
_IDLE_SECONDS: Final = 60
"""Less than the 75 after which a gateway closes an idle connection."""
_STALLED_SECONDS: Final = 35
"""More than the 30 in which a gateway wants to see a body go on."""
_BESIDE_DEADLINE_SECONDS: Final = 5
_REGISTERING_SECONDS: Final = 300
_QUIET_STREAM_SECONDS: Final = 3600
"""A caller that has gone without a word is noticed after that; a gateway ends what the proxy has left."""
_NAMES_BYTES: Final = 512
"""Of a gRPC message: its name and version are in them."""
_BEFORE_MESSAGE_BYTES: Final = 5
_ASKING_READY: Final = "    http-check send meth GET uri /health/ready ver HTTP/1.1 hdr Host localhost"


def print_haproxy(deployment: Deployment) -> str:
    """Return the configuration."""
    parts = [_global(deployment), _defaults(deployment), _frontend(deployment), _gateways(deployment)]
    if deployment.has_roles:
        parts.append(_registry(deployment))
    if deployment.grpc_port is not None:
        parts += [_grpc_frontend(deployment), _grpc_gateways(deployment)]
    if deployment.dns:
        parts.insert(2, _resolvers())
    return "\n".join("\n".join(part) + "\n" for part in parts)


def hard_stop_seconds(deployment: Deployment) -> int:
    """Return how long a proxy that is told to end may take: until every request that it has is answered."""
    return max(_answer_seconds(deployment), _REGISTERING_SECONDS) + _HEAD_SECONDS


def _answer_seconds(deployment: Deployment) -> int:
    return math.ceil(deployment.settings.predict_timeout_seconds) + _BESIDE_DEADLINE_SECONDS


def _global(deployment: Deployment) -> list[str]:
    return [
        "# HAProxy 2.6 or newer, before Sardonyx; printed by 'sardonyx deploy print haproxy'.",
        "global",
        "    log stdout format raw local0",
        "    # A request has to fit into a buffer to be sent to a second gateway.",
        f"    tune.bufsize {BUFFER_BYTES}",
        f"    hard-stop-after {hard_stop_seconds(deployment)}s",
    ]


def _defaults(deployment: Deployment) -> list[str]:
    return [
        "defaults",
        "    mode http",
        "    log global",
        "    option httplog",
        "    option dontlognull",
        "    option forwardfor",
        "    # Each retry goes to another server, the next one on the ring.",
        "    option redispatch 1",
        "    retries 3",
        "    timeout connect 2s",
        "    timeout check 2s",
        f"    timeout http-request {_HEAD_SECONDS}s",
        f"    timeout http-keep-alive {_IDLE_SECONDS}s",
        f"    timeout client {_STALLED_SECONDS}s",
        f"    timeout server {_answer_seconds(deployment)}s",
        "    timeout queue 5s",
    ]


def _resolvers() -> list[str]:
    return [
        "resolvers cluster",
        "    parse-resolv-conf",
        "    accepted_payload_size 8192",
        "    hold valid 5s",
        "    hold nx 5s",
        "    # While the DNS does not answer, its last answer holds: health checks say which servers are there.",
        "    hold timeout 1d",
        "    hold refused 1d",
        "    hold other 1d",
    ]


def _frontend(deployment: Deployment) -> list[str]:
    lines = [
        "frontend sardonyx",
        f"    bind {address(deployment.host, deployment.port)}",
        f"    monitor-uri {LIVE}",
        "    http-request set-var(txn.path) path,url_dec",
        *_key_lines(),
    ]
    if not deployment.has_roles:
        return [*lines, "    default_backend gateways"]
    return [
        *lines,
        r"    acl for_registry var(txn.path) -m reg '^/(registry|console)(/.*)?$'",
        "    acl for_registry path / /docs /openapi.json",
        "    acl for_registry path_beg /docs/",
        "    # Only gateways have counted what requests bring.",
        r"    acl for_gateways var(txn.path) -m reg '^/registry/models/[^/]+/versions/[^/]+/inputs$'",
        "    acl is_read method GET HEAD",
        "    use_backend registry if for_registry !for_gateways { nbsrv(registry) gt 0 }",
        "    use_backend registry if for_registry !for_gateways !is_read",
        "    default_backend gateways",
    ]


def _key_lines() -> Iterator[str]:
    for shape in SHAPES:
        condition = f"{{ var(txn.path) -m reg '{shape.pattern}' }}"
        yield f"    # {shape.name}"
        yield (
            f"""    http-request set-var(txn.key) 'var(txn.path),regsub("{shape.pattern}","{shape.key}")'"""
            f" if !{{ var(txn.key) -m found }} {condition}"
        )


def _balance(deployment: Deployment) -> list[str]:
    return [
        "    balance hash var(txn.key)",
        f"    hash-type {HASH_TYPE}",
        f"    hash-balance-factor {deployment.balance_factor}",
        "    http-reuse safe",
        "    # A head is not to wait in the kernel for more of its body.",
        "    option http-no-delay",
        "    option httpchk",
        "    # Who is not ready gets nothing new, and goes on with what it has begun.",
        f"    http-check disable-on-{NOT_READY_STATUS}",
        f"{_ASKING_READY} hdr {NOT_READY} {NOT_READY_STATUS}",
        "    http-check expect status 200",
        "    default-server inter 1s fastinter 250ms downinter 1s fall 2 rise 2",
    ]


def _ends_what_is_silent(deployment: Deployment) -> Iterator[str]:
    """Have what is asked of a gateway end when that one is found to be gone, where it is then asked of another one.

    A host that vanishes resets no connection: its callers would wait for the time limit. Only where a registry answers
    what may not be sent twice; and after one look more, since whoever is taken for gone by mistake loses what it does.
    """
    if deployment.replays and deployment.has_roles:
        yield "    default-server fall 3 on-marked-down shutdown-sessions"


def _gateways(deployment: Deployment) -> list[str]:
    conditions = "conn-failure empty-response" if deployment.replays else "conn-failure"
    return [
        "backend gateways",
        *_balance(deployment),
        *_ends_what_is_silent(deployment),
        f"    retry-on {conditions} {STATUS}",
        "    # To be sent again, a request has to be here; as long as it fits, the proxy waits for all of it.",
        f"    http-request wait-for-body time {_STALLED_SECONDS}s if METH_POST",
        "    # What callers themselves say here is overwritten.",
        f"    http-request set-header {ASKING} {STATUS}",
        f"    http-response del-header {ASKING}",
        f"    http-response set-status 503 if {{ status {STATUS} }}",
        *_changes(deployment),
        *(_server(deployment, gateway, gateway.address) for gateway in deployment.gateways),
    ]


def _changes(deployment: Deployment) -> Iterator[str]:
    """Say what differs for requests that may change something: gateways answer all of them where there are no roles."""
    yield r"    acl may_change var(txn.path) -m reg '^/(registry|console|v2/repository)(/.*)?$'"
    yield "    # A model is inspected before it is registered."
    yield f"    http-request set-timeout server {_REGISTERING_SECONDS}s if may_change"
    if deployment.replays:
        yield "    # Predictions and reads may be made twice, nothing else."
        yield "    http-request disable-l7-retry unless { var(txn.key) -m found } or { method GET HEAD }"


def _registry(deployment: Deployment) -> list[str]:
    first, *others = deployment.registries
    return [
        "backend registry",
        "    # The first one that is ready; the others stand by.",
        "    balance roundrobin",
        "    retry-on conn-failure",
        f"    timeout server {_REGISTERING_SECONDS}s",
        "    option httpchk",
        _ASKING_READY,
        "    http-check expect status 200",
        "    default-server inter 1s fastinter 250ms downinter 1s fall 2 rise 2",
        f"    http-request del-header {ASKING}",
        _server(deployment, first, first.address),
        *(f"{_server(deployment, other, other.address)} backup" for other in others),
    ]


def _grpc_frontend(deployment: Deployment) -> list[str]:
    infer = f"{{ path {GRPC_INFER} }}"
    plain = "{ req.body,bytes(0,1),hex -m str 00 }"
    named = "'var(txn.model),concat(/,txn.version)'"
    message = f"req.body,bytes({_BEFORE_MESSAGE_BYTES})"
    assert deployment.grpc_port is not None  # noqa: S101 - what the caller has looked at
    return [
        "frontend sardonyx_grpc",
        f"    bind {address(deployment.host, deployment.grpc_port)} proto h2",
        f"    timeout client {_QUIET_STREAM_SECONDS}s",
        f"    http-request set-var(txn.key) req.hdr({KEY_HEADER}) if {{ req.hdr({KEY_HEADER}) -m found }}",
        "    # The message begins with the model's name (field 1) and its version (field 2).",
        f"    http-request wait-for-body time {_HEAD_SECONDS}s at-least {_NAMES_BYTES} if {infer}",
        f"    http-request set-var(txn.model) {message},protobuf(1) if {infer} {plain}",
        f"    http-request set-var(txn.version) {message},protobuf(2) if {infer} {plain}",
        "    http-request set-var(txn.version) str(production) if !{ var(txn.version) -m len gt 0 }",
        f"    http-request set-var(txn.key) {named} if !{{ var(txn.key) -m found }} {{ var(txn.model) -m len gt 0 }}",
        "    default_backend gateways_grpc",
    ]


def _grpc_gateways(deployment: Deployment) -> list[str]:
    # A refusal of gRPC has the status 200, so that the proxy cannot see it: the caller is told UNAVAILABLE.
    return [
        "backend gateways_grpc",
        *_balance(deployment),
        "    retry-on conn-failure",
        f"    timeout server {_QUIET_STREAM_SECONDS}s",
        f"    http-request del-header {ASKING}",
        *(
            f"{_server(deployment, gateway, gateway.grpc_address or '')} proto h2 check-proto h1 port {gateway.port}"
            for gateway in deployment.gateways
        ),
    ]


def _server(deployment: Deployment, server: Server, where: str) -> str:
    found = " resolvers cluster resolve-prefer ipv4 init-addr none" if deployment.dns else ""
    return f"    server {server.name} {where} id {server.id} weight {WEIGHT} check{found}"
