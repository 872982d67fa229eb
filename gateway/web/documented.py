"""What OpenAPI documents say of every route alike: how names are spelled, and how a request is refused."""

from typing import Any

from gateway.web.paths import Dialect, dialect_of

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "description": "the request id"},
        "code": {"type": "string"},
        "violations": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["path", "expected", "received", "code"],
                "properties": {name: {"type": "string"} for name in ("path", "expected", "received", "code")},
            },
        },
        "differences": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["path", "before", "after"],
                "properties": {name: {"type": "string"} for name in ("path", "before", "after")},
            },
        },
        "example": {"type": "object", "description": "a body that would have been taken, where a predict body was not"},
        "example_url": {"type": "string", "description": "in its place, where one is shown that is too large for here"},
    },
}

REFUSAL: dict[str, Any] = {
    "description": "What to change, or when to come back",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}

REFUSAL_IN_ONE_LINE: dict[str, Any] = {
    "description": REFUSAL["description"],
    "content": {
        "application/json": {
            "schema": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
        }
    },
}
"""As other protocols have it."""

MODEL_PATTERN = r"^(?!.*\.\.)[a-z0-9]([a-z0-9._-]{0,126}[a-z0-9])?$"
ALIAS_PATTERN = r"^[a-z][a-z0-9-]{0,62}$"
VERSION_PATTERN = r"^[1-9][0-9]{0,8}$"
DIGEST_PATTERN = r"^(sha256:)?[0-9A-Fa-f]{64}$"
"""As ``registry.names`` and ``registry.artifact`` parse them; documented only, since they give better reasons."""

BYTES: dict[str, Any] = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
"""An answer that is a file."""


def refusals(path: str, operation: dict[str, Any], *, has_tokens: bool) -> dict[str, Any]:
    """Return the answers by status of a request that is refused, beside those that any request may get."""
    statuses = ["401", "403", "429"] if has_tokens else ["403"]
    if "{" in path or "/models/" in path:
        statuses.append("404")
    if "requestBody" in operation:
        statuses += ["400", "413", "415"]
    if "requestBody" in operation or operation.get("parameters"):
        statuses.append("422")
    dialect = dialect_of(path)
    if dialect is Dialect.TENSORFLOW:
        statuses = [status for status in statuses if status != "422"]  # which it does not have
    refusal = REFUSAL if dialect is Dialect.NATIVE else REFUSAL_IN_ONE_LINE
    return dict.fromkeys([*sorted(statuses), "default"], refusal)
