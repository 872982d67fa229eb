"""What a trace tells of a predict request: where it went, what became of it, and what its time has gone to."""

from typing import Final

from gateway.phases import spans_of
from gateway.traces import Told, Traces
from gateway.web.exchange import Exchange
from gateway.web.paths import Dialect

_OUR_FAULT: Final = 500


def tell(traces: Traces, exchange: Exchange, ended: float) -> str:
    """Tell of a request to a predict route, and return the id of its trace.

    Args:
        traces: has chosen it.
        exchange: which has come to its end, with a target.
        ended: when, in monotonic seconds.
    """
    route = route_of(exchange)
    attributes: dict[str, str | int] = {
        "http.request.method": exchange.method,
        "http.route": route,
        "url.path": exchange.shown_path,
        "http.response.status_code": exchange.status,
        "sardonyx.code": exchange.code,
        "sardonyx.request_id": exchange.request_id,
    }
    if exchange.endpoint is not None:
        attributes["sardonyx.model"] = exchange.endpoint.version.model
        attributes["sardonyx.version"] = exchange.endpoint.version.number
    is_failed = exchange.status >= _OUR_FAULT
    if is_failed:
        attributes["error.type"] = exchange.code
    told = Told(
        name=f"{exchange.method} {route}",
        attributes=attributes,
        is_failed=is_failed,
        started=exchange.started,
        ended=ended,
        phases=spans_of(exchange.moments, exchange.started, ended),
        headers=exchange.headers,
    )
    return traces.record(told)


def route_of(exchange: Exchange) -> str:
    """Return the path without names and numbers: there are few of them, whatever is asked for."""
    target = exchange.target
    if target is None:
        return ""
    reference = target.reference
    if target.dialect is Dialect.NATIVE:
        version = "" if reference.version is None else "/v{n}"
        alias = "@{alias}" if "@" in exchange.path else ""
        return f"{version}/models/{{name}}{alias}/{target.verb}"
    path = exchange.path.replace(f"/models/{reference.model}", "/models/{name}", 1)
    return path.replace(f"/versions/{reference.version}", "/versions/{n}").replace(
        f"/labels/{reference.alias}", "/labels/{alias}"
    )
