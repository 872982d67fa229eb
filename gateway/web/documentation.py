"""The documentation that the gateway serves itself: no page of it needs the internet.

The predict routes are not the framework's, so they are described here, from the signatures of what is really promoted:
whoever opens `/docs` finds a request that works as it stands.
"""

from collections.abc import Mapping
from html import escape
from importlib import resources
from importlib.metadata import version as distribution_version
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import FastAPI, Header, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from pydantic.json_schema import models_json_schema

from gateway.codec.examples import native_example, whole_example
from gateway.codec.schemas import request_schema, response_schema
from gateway.web.context import Asking, UsesServices
from gateway.web.documented import ALIAS_PATTERN, MODEL_PATTERN, PROBLEM_SCHEMA, REFUSAL, refusals
from gateway.web.documented_dialects import FILES, dialect_operations
from gateway.web.guarded import needs
from gateway.web.problems import DOCUMENTATION, STATUS, all_errors
from gateway.web.uploads import NAMED_BODIES
from registry.errors import RouteNotFound
from registry.names import PRODUCTION
from registry.ports import Registry
from registry.records import Version
from registry.roles import Role

_SHOWN_MODELS = 50

_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}

_REF = "#/components/schemas/{model}"


def add_to(control: FastAPI) -> None:
    """Add the documentation's routes."""

    @control.get("/", include_in_schema=False)
    @needs(Role.PREDICT)
    async def home(accept: Annotated[str, Header()] = "") -> Response:
        if "text/html" in accept:
            return RedirectResponse("/console")
        return JSONResponse({"status": "alive"})  # what clients of KServe's version 1 ask a server for

    @control.get("/docs", include_in_schema=False)
    @needs(Role.PREDICT)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Sardonyx",
            swagger_js_url="/docs/assets/swagger-ui-bundle.js",
            swagger_css_url="/docs/assets/swagger-ui.css",
            swagger_favicon_url="/docs/assets/favicon-32x32.png",
            swagger_ui_parameters={"tryItOutEnabled": True, "displayRequestDuration": True},
        )

    @control.get("/docs/assets/{name}", include_in_schema=False)
    @needs(Role.PREDICT)
    async def asset(name: str) -> Response:
        if name not in _ASSETS:
            raise RouteNotFound("the documentation has no such file")
        content = (resources.files("fastapi_swagger.resources") / name).read_bytes()
        return Response(content, media_type=_ASSETS[name], headers={"cache-control": "max-age=86400"})

    @control.get(DOCUMENTATION, include_in_schema=False)
    @needs(Role.PREDICT)
    async def problems() -> HTMLResponse:
        return HTMLResponse(_problems_page())

    @control.get("/openapi.json", include_in_schema=False)
    @needs(Role.PREDICT)
    async def openapi(services: UsesServices, asking: Asking) -> JSONResponse:
        promoted = await services.call(_promoted_versions, services.registry)
        return JSONResponse(
            _openapi(
                control,
                [version for version in promoted if asking.sees(version.model)],
                has_tokens=services.settings.is_auth_on,
            )
        )


def version_openapi(version: Version) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of one version's predict and validate routes."""
    base = f"/v{version.number}/models/{version.model}"
    example = whole_example(version.signature)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"{version.model}, version {version.number}", "version": str(version.number)},
        "paths": {
            f"{base}/predict": {"post": _predict_operation(version, example)},
            f"{base}/validate": {"post": _validate_operation(version, example)},
        },
        "components": {"schemas": {"Problem": PROBLEM_SCHEMA}},
    }


def _openapi(control: FastAPI, promoted: list[Version], *, has_tokens: bool) -> dict[str, Any]:
    document = get_openapi(
        title=control.title,
        version=distribution_version("sardonyx"),
        summary=control.summary,
        description="Predict routes by version, by alias and by name; a registry to register, promote and roll back.",
        routes=control.routes,
    )
    paths = {
        f"/models/{version.model}/predict": {"post": _predict_operation(version, native_example(version.signature))}
        for version in promoted
    }
    shown = promoted[0] if promoted else None
    general = {
        "/v{version}/models/{name}/predict": ("version", "name"),
        "/models/{name}/predict": ("name",),
        "/models/{name}@{alias}/predict": ("name", "alias"),
        "/v{version}/models/{name}/validate": ("version", "name"),
        "/models/{name}/validate": ("name",),
        "/models/{name}@{alias}/validate": ("name", "alias"),
    }
    paths |= {path: {"post": _general_operation(path, names, shown)} for path, names in general.items()}
    paths |= dialect_operations(shown)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)  # the framework's own, which is never sent
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = PROBLEM_SCHEMA
    _, described = models_json_schema([(kind, "validation") for kind in NAMED_BODIES], ref_template=_REF)
    schemas |= described["$defs"]
    if has_tokens:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["paths"] = paths | document["paths"]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["responses"] |= refusals(
                path, operation, has_tokens=has_tokens and not path.startswith("/health/")
            )
    return document


def _predict_operation(version: Version, example: dict[str, Any] | None) -> dict[str, Any]:
    signature = version.signature
    return {
        "tags": ["predicting"],
        "summary": f"Predict with {version.model} (version {version.number})",
        "operationId": f"predict_{version.model}_{version.number}",
        "requestBody": _json_body(request_schema(signature), example),
        "responses": _answers(response_schema(signature), FILES),
    }


def _validate_operation(version: Version, example: dict[str, Any] | None) -> dict[str, Any]:
    operation = _predict_operation(version, example)
    valid = {
        "type": "object",
        "properties": {"model": {"type": "string"}, "version": {"type": "integer"}, "valid": {"const": True}},
    }
    return operation | {
        "summary": f"Check a body for {version.model} (version {version.number}) and run nothing",
        "operationId": f"validate_{version.model}_{version.number}",
        "responses": _answers(valid),
    }


def _general_operation(path: str, names: tuple[str, ...], shown: Version | None) -> dict[str, Any]:
    values: dict[str, Any] = {"name": "iris", "version": 1, "alias": PRODUCTION}
    example: dict[str, Any] | None = {"inputs": {"x": [[5.1, 3.5, 1.4, 0.2]]}}
    if shown is not None:
        values |= {"name": shown.model, "version": shown.number}
        example = native_example(shown.signature)
    kinds = {
        "name": {"type": "string", "pattern": MODEL_PATTERN},
        "version": {"type": "integer", "minimum": 1, "maximum": 10**9 - 1},
        "alias": {"type": "string", "pattern": ALIAS_PATTERN},
    }
    return {
        "tags": ["predicting"],
        "summary": "Check a body and run nothing" if path.endswith("/validate") else "Predict",
        "operationId": path.strip("/").replace("/", "_").translate({ord(sign): None for sign in "{}"}),
        "parameters": [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": kinds[name],
                "example": values[name],
            }
            for name in names
        ],
        "requestBody": _json_body({"type": "object"}, example),
        "responses": _answers({"type": "object"}, {} if path.endswith("/validate") else FILES),
    }


def _json_body(schema: dict[str, Any], example: dict[str, Any] | None) -> dict[str, Any]:
    shown = {"schema": schema} if example is None else {"schema": schema, "example": example}
    return {"required": True, "content": {"application/json": shown, **FILES}}


def _answers(schema: dict[str, Any], files: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    return {
        "200": {"description": "The answer", "content": {"application/json": {"schema": schema}, **files}},
        "default": REFUSAL,
    }


def _promoted_versions(registry: Registry) -> list[Version]:
    """Return the versions that the first promoted models answer with."""
    promoted = []
    with registry.reading() as catalog:
        for model in catalog.list_models(limit=_SHOWN_MODELS).items:
            for alias in model.aliases:
                version = catalog.find_version(model.name, alias.version) if alias.name == PRODUCTION else None
                if version is not None:
                    promoted.append(version)
    return promoted


def _problems_page() -> str:
    rows = {
        error.code: f'<tr id="{escape(error.code)}"><td><code>{escape(error.code)}</code></td>'
        f"<td>{STATUS[error]}</td><td>{escape(error.title)}</td><td>{escape(error.__doc__ or '')}</td></tr>"
        for error in all_errors()
        if not error.__subclasses__() or "code" in vars(error)
    }
    table = "".join(rows[code] for code in sorted(rows))
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Sardonyx: problems</title>"
        "<style>body{font:16px/1.5 system-ui;max-width:72rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
        "td{padding:.3rem .8rem;vertical-align:top;border-top:1px solid #8884}tr:target{background:#fc03}</style>"
        "<h1>Problems</h1><p>Every refusal is <code>application/problem+json</code> with one of these codes. "
        "Files that cannot be registered are refused with a code of their own that names the reason.</p>"
        f"<table>{table}</table>"
    )
