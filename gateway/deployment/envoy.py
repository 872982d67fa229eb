"""The configuration of Envoy before several gateways, as JSON, which it reads like YAML.

1. Each shape of path (``gateway.placement.keys``) is a route that hashes the key it finds in the path, onto a ring on
   which a gateway's places follow from its name; bounded load sends what is too much for a gateway to the next ones.
2. Envoy looks into no gRPC message: a call has the key that its metadata name (``KEY_HEADER``), or goes to any gateway.
3. A request is sent to another gateway only if no run has begun: it could not be sent, or the gateway says so by a
   header, which it does for a proxy that asks it to (``gateway.web.elsewhere``). Callers do not see it.
4. What the registry serves goes to the first registry that is ready.
5. Times agree with those of the gateways: a gateway's own answers about deadlines come before the proxy's. To register
   a model may take minutes, whoever is asked, without a byte meanwhile; a stream of gRPC may be quiet for ever.
6. A connection that ends has its request sent again only if that is a prediction, and only where this is asked for.

Where a path is percent-encoded, only the characters between a name and what follows are understood: they are all that
clients encode.
"""

import json
import math
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final

from gateway.deployment.deployed import Deployment, Server
from gateway.placement.elsewhere import ASKING
from gateway.placement.keys import GRPC_INFER, KEY_HEADER, SHAPES, Shape

Part = dict[str, Any]

_TYPES: Final = "type.googleapis.com/envoy"
_ANY: Final = "0.0.0.0"  # noqa: S104 - a proxy listens for others
_NOBODY: Final = "255.255.255.255"
"""An address from which no connection comes."""
_LEAST_RING: Final = 4096
_TRIES: Final = 3
_LOOKS_FOR_ANOTHER: Final = 20
"""How many neighbours on the ring are looked at for a gateway that has not been tried: some are of the same one."""
_IDLE_SECONDS: Final = 60
"""Less than the 75 after which a gateway closes an idle connection."""
_BESIDE_DEADLINE_SECONDS: Final = 5
_REGISTERING_SECONDS: Final = 300
_MANY: Final = 65536
_ENCODED: Final = {"@": "(?:@|%40)", ":": "(?::|%3[Aa])"}
_FOR_REGISTRY: Final = r"/(registry|console|docs)(/.*)?|/openapi\.json|/"
_MAY_CHANGE: Final = r"/(registry|console|v2/repository)(/.*)?"
_COUNTED_BY_GATEWAYS: Final = r"/registry/models/[^/]+/versions/[^/]+/inputs"


def print_envoy(deployment: Deployment) -> str:
    """Return the configuration."""
    listeners = [_listener("sardonyx", deployment.port, deployment, _routes(deployment), is_grpc=False)]
    clusters = [_gateways(deployment, is_grpc=False)]
    if deployment.has_roles:
        clusters.append(_registry(deployment))
    if deployment.grpc_port is not None:
        calls = _grpc_routes(deployment)
        listeners.append(_listener("sardonyx_grpc", deployment.grpc_port, deployment, calls, is_grpc=True))
        clusters.append(_gateways(deployment, is_grpc=True))
    return json.dumps({"static_resources": {"listeners": listeners, "clusters": clusters}}, indent=2) + "\n"


def _listener(name: str, port: int, deployment: Deployment, routes: Sequence[Part], *, is_grpc: bool) -> Part:
    host = _ANY if deployment.host == "*" else deployment.host
    router = {"name": "envoy.filters.http.router", "typed_config": _typed("extensions.filters.http.router.v3.Router")}
    manager = {
        **_typed("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": name,
        "codec_type": "HTTP2" if is_grpc else "AUTO",
        "normalize_path": True,
        "use_remote_address": True,
        # Whoever is internal says by headers how often a request is sent again, and how long it may take. An empty
        # list would mean every private address.
        "internal_address_config": {"cidr_ranges": [{"address_prefix": _NOBODY, "prefix_len": 32}]},
        "request_headers_timeout": "10s",
        "stream_idle_timeout": _seconds(_answer_seconds(deployment)),
        "http_filters": [router],
        "route_config": {
            "name": name,
            # What callers themselves say here is overwritten.
            "request_headers_to_add": [
                {"header": {"key": ASKING, "value": "header"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            ],
            "response_headers_to_remove": [ASKING],
            "virtual_hosts": [{"name": name, "domains": ["*"], "routes": list(routes)}],
        },
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {"name": name, "address": _address(host, port), "filter_chains": [{"filters": filters}]}


def _routes(deployment: Deployment) -> list[Part]:
    routes = [_route_of(shape, deployment) for shape in SHAPES]
    long = {"timeout": _seconds(_REGISTERING_SECONDS), "idle_timeout": _seconds(_REGISTERING_SECONDS)}
    if deployment.has_roles:
        action = {"cluster": "registry", **long, "retry_policy": _retry_unsent()}
        routes.append({"match": _matching(_COUNTED_BY_GATEWAYS), "route": _to_gateways(deployment)})
        routes.append({"match": _matching(_FOR_REGISTRY), "route": action})
    # What gateways answer of it: all of it where there are no roles.
    routes.append({"match": _matching(_MAY_CHANGE), "route": {**_to_gateways(deployment), **long}})
    return [*routes, {"match": {"prefix": "/"}, "route": _to_gateways(deployment)}]


def _route_of(shape: Shape, deployment: Deployment) -> Part:
    whole = _decoding(shape.pattern).removeprefix("^").removesuffix("$")
    rewrite = {"pattern": {"regex": rf"^{whole}(?:\?.*)?$"}, "substitution": shape.key}
    hashed = {"header": {"header_name": ":path", "regex_rewrite": rewrite}, "terminal": True}
    return {
        "name": shape.name,
        "match": _matching(whole),
        "route": _to_gateways(deployment, hashed, replays=deployment.replays),
    }


def _decoding(pattern: str) -> str:
    """Return a pattern that takes what clients may have percent-encoded; what stands in brackets stays as it is."""
    return pattern.replace(")@(", f"){_ENCODED['@']}(").replace("(:predict", f"({_ENCODED[':']}predict")


def _grpc_routes(deployment: Deployment) -> list[Part]:
    predicting = _grpc_route(deployment, {"path": GRPC_INFER}, replays=deployment.replays)
    return [predicting, _grpc_route(deployment, {"prefix": "/"}, replays=False)]


def _grpc_route(deployment: Deployment, match: Part, *, replays: bool) -> Part:
    hashed = {"header": {"header_name": KEY_HEADER}, "terminal": True}
    # How long a call may take says its caller; a stream has no end of its own, and may be quiet.
    endless = {"timeout": "0s", "idle_timeout": "0s"}
    action = {**_to_gateways(deployment, hashed, replays=replays), "cluster": "gateways_grpc", **endless}
    return {"match": {**match, "grpc": {}}, "route": action}


def _to_gateways(deployment: Deployment, *hashed: Part, replays: bool = False) -> Part:
    retry_on = "connect-failure,refused-stream,retriable-headers" + (",reset" if replays else "")
    retry = {
        "retry_on": retry_on,
        "retriable_headers": [{"name": ASKING, "present_match": True}],
        "num_retries": _TRIES,
        "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.025s"},
        "host_selection_retry_max_attempts": _LOOKS_FOR_ANOTHER,
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": _typed("extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
            }
        ],
    }
    timeout = _seconds(_answer_seconds(deployment))
    return {"cluster": "gateways", "timeout": timeout, "retry_policy": retry, "hash_policy": list(hashed)}


def _retry_unsent() -> Part:
    return {"retry_on": "connect-failure,refused-stream", "num_retries": _TRIES}


def _gateways(deployment: Deployment, *, is_grpc: bool) -> Part:
    endpoints = [_endpoint(gateway, is_grpc=is_grpc) for gateway in deployment.gateways]
    return {
        **_cluster("gateways_grpc" if is_grpc else "gateways", deployment.gateways, is_http2=is_grpc),
        "lb_policy": "RING_HASH",
        "ring_hash_lb_config": {"minimum_ring_size": _LEAST_RING, "hash_function": "XX_HASH"},
        "common_lb_config": {
            # While none is ready, none is asked: each would have said why.
            "healthy_panic_threshold": {"value": 0},
            "consistent_hashing_lb_config": {"hash_balance_factor": deployment.balance_factor},
        },
        "load_assignment": {"cluster_name": "gateways", "endpoints": [{"lb_endpoints": endpoints}]},
    }


def _registry(deployment: Deployment) -> Part:
    endpoints = [
        {"priority": place, "lb_endpoints": [_endpoint(registry, is_grpc=False)]}
        for place, registry in enumerate(deployment.registries)
    ]
    return {
        **_cluster("registry", deployment.registries, is_http2=False),
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "load_assignment": {"cluster_name": "registry", "endpoints": endpoints},
    }


def _cluster(name: str, servers: Sequence[Server], *, is_http2: bool) -> Part:
    protocol: Part = {"http2_protocol_options": {}} if is_http2 else {"http_protocol_options": {}}
    options = {
        **_typed("extensions.upstreams.http.v3.HttpProtocolOptions"),
        "common_http_protocol_options": {"idle_timeout": _seconds(_IDLE_SECONDS)},
        "explicit_http_config": protocol,
    }
    check = {"path": "/health/ready", "host": "localhost"}
    limits = {"max_connections": _MANY, "max_pending_requests": _MANY, "max_requests": _MANY}
    retrying = {"budget_percent": {"value": 50}, "min_retry_concurrency": 100}
    return {
        "name": name,
        "type": "STATIC" if all(_is_number(server.host) for server in servers) else "STRICT_DNS",
        "connect_timeout": "2s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
        "circuit_breakers": {"thresholds": [{**limits, "retry_budget": retrying}]},
        "health_checks": [
            {
                "timeout": "2s",
                "interval": "1s",
                "no_traffic_interval": "1s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 2,
                "http_health_check": check,
            }
        ],
        # Connections that fail eject a server; answers do not, since a model's failures are not its gateway's.
        "outlier_detection": {
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 3,
            "enforcing_consecutive_local_origin_failure": 100,
            "enforcing_local_origin_success_rate": 0,
            "enforcing_consecutive_5xx": 0,
            "enforcing_consecutive_gateway_failure": 0,
            "enforcing_success_rate": 0,
            "base_ejection_time": "5s",
            "max_ejection_percent": 50,
        },
    }


def _endpoint(server: Server, *, is_grpc: bool) -> Part:
    port = server.grpc_port if is_grpc and server.grpc_port is not None else server.port
    return {
        "endpoint": {
            "address": _address(server.host, port),
            "hostname": server.name,
            "health_check_config": {"port_value": server.port},
        },
        # Its places on the ring: they follow from this and not from its address.
        "metadata": {"filter_metadata": {"envoy.lb": {"hash_key": server.name}}},
    }


def _address(host: str, port: int) -> Part:
    return {"socket_address": {"address": host, "port_value": port}}


def _matching(regex: str) -> Part:
    return {"safe_regex": {"regex": regex}}


def _typed(name: str) -> Mapping[str, str]:
    return {"@type": f"{_TYPES}.{name}"}


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _answer_seconds(deployment: Deployment) -> int:
    return math.ceil(deployment.settings.predict_timeout_seconds) + _BESIDE_DEADLINE_SECONDS


def _seconds(seconds: int) -> str:
    return f"{seconds}s"
