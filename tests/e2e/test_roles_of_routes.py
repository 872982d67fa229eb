"""Every route, without a token and with one of each role, against one table: nothing is open by oversight."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from gateway.web import documentation
from gateway.web.control import PUBLIC_PATHS, ROUTERS
from gateway.web.guarded import GuardedRoute, public_paths
from registry.roles import Role
from tests.support import models
from tests.support.gateway_process import running_gateway
from tests.support.tokens import bearer, make_token
from tests.support.uploads import upload

CONSOLE_ASSETS = (
    *("console.css", "tools.css", "mark.svg", "console.js", "htmx.min.js", "theme.js", "tabs.js", "try-it.js"),
    *("answers.js", "bodies.js", "csv.js", "elements.js", "exact-json.js", "image-panel.js", "image-steps.js"),
    *("npy.js", "random-input.js", "tensors.js", "try-field.js"),
)

NEEDED: dict[tuple[str, str], Role | None] = {
    ("GET", "/registry/models"): Role.PREDICT,
    ("GET", "/registry/models/{name}"): Role.PREDICT,
    ("PATCH", "/registry/models/{name}"): Role.PUBLISH,
    ("PUT", "/registry/blobs/{digest}"): Role.PUBLISH,
    ("POST", "/registry/uploads"): Role.PUBLISH,
    ("POST", "/registry/uploads/{digest}/finish"): Role.PUBLISH,
    ("POST", "/registry/models/{name}/versions"): Role.PUBLISH,
    ("GET", "/registry/models/{name}/versions"): Role.PREDICT,
    ("GET", "/registry/models/{name}/versions/{number}"): Role.PREDICT,
    ("PATCH", "/registry/models/{name}/versions/{number}"): Role.PUBLISH,
    ("DELETE", "/registry/models/{name}/versions/{number}"): Role.ADMIN,
    ("GET", "/registry/models/{name}/versions/{number}/artifact"): Role.PREDICT,
    ("GET", "/registry/models/{name}/versions/{number}/artifact/{file}"): Role.PREDICT,
    ("GET", "/registry/models/{name}/versions/{number}/graph"): Role.PREDICT,
    ("GET", "/registry/models/{name}/versions/{number}/openapi.json"): Role.PREDICT,
    ("GET", "/registry/models/{name}/versions/{number}/inputs"): Role.PUBLISH,
    ("GET", "/registry/models/{name}/versions/{number}/snippets"): Role.PREDICT,
    ("GET", "/registry/models/{name}/versions/{number}/examples"): Role.PREDICT,
    ("PUT", "/registry/models/{name}/versions/{number}/examples"): Role.PUBLISH,
    ("POST", "/registry/models/{name}/versions/{number}/examples"): Role.PUBLISH,
    ("PUT", "/registry/models/{name}/aliases/{alias}"): Role.ADMIN,
    ("GET", "/registry/models/{name}/aliases/{alias}/shadow"): Role.PREDICT,
    ("POST", "/registry/models/{name}/aliases/{alias}/rollback"): Role.ADMIN,
    ("GET", "/registry/models/{name}/aliases/{alias}"): Role.PREDICT,
    ("GET", "/registry/models/{name}/history"): Role.PREDICT,
    ("GET", "/registry/quarantine"): Role.PREDICT,
    ("DELETE", "/registry/quarantine/{name}/{number}"): Role.ADMIN,
    ("GET", "/registry/events"): Role.PREDICT,
    ("GET", "/registry/workers"): Role.PREDICT,
    ("GET", "/registry/tokens"): Role.ADMIN,
    ("POST", "/registry/tokens"): Role.ADMIN,
    ("DELETE", "/registry/tokens/{token_id}"): Role.ADMIN,
    ("GET", "/registry/webhooks"): Role.ADMIN,
    ("POST", "/registry/webhooks"): Role.ADMIN,
    ("GET", "/registry/webhooks/{webhook_id}"): Role.ADMIN,
    ("PATCH", "/registry/webhooks/{webhook_id}"): Role.ADMIN,
    ("DELETE", "/registry/webhooks/{webhook_id}"): Role.ADMIN,
    ("GET", "/registry/webhooks/{webhook_id}/deliveries"): Role.ADMIN,
    ("POST", "/registry/webhooks/{webhook_id}/deliveries/{delivery}/redeliver"): Role.ADMIN,
    ("POST", "/registry/webhooks/{webhook_id}/test"): Role.ADMIN,
    ("GET", "/v1/models"): Role.PREDICT,
    **{
        ("GET", f"/v1/models/{{name}}{which}{what}"): Role.PREDICT
        for which in ("", "/versions/{version}", "/labels/{label}")
        for what in ("", "/metadata")
    },
    **{
        ("POST", f"/v1/models/{{name}}{which}:{verb}"): Role.PREDICT
        for which in ("", "/versions/{version}", "/labels/{label}")
        for verb in ("classify", "regress", "explain")
    },
    ("GET", "/health/live"): None,
    ("GET", "/health/ready"): None,
    ("GET", "/v2"): Role.PREDICT,
    ("GET", "/v2/"): Role.PREDICT,
    ("GET", "/v2/health/live"): None,
    ("GET", "/v2/health/ready"): None,
    ("GET", "/v2/models"): Role.PREDICT,
    ("GET", "/v2/models/stats"): Role.PREDICT,
    ("GET", "/v2/models/{name}"): Role.PREDICT,
    ("GET", "/v2/models/{name}/ready"): Role.PREDICT,
    ("GET", "/v2/models/{name}/config"): Role.PREDICT,
    ("GET", "/v2/models/{name}/stats"): Role.PREDICT,
    ("GET", "/v2/models/{name}/versions/{version}"): Role.PREDICT,
    ("GET", "/v2/models/{name}/versions/{version}/ready"): Role.PREDICT,
    ("GET", "/v2/models/{name}/versions/{version}/config"): Role.PREDICT,
    ("GET", "/v2/models/{name}/versions/{version}/stats"): Role.PREDICT,
    ("POST", "/v2/repository/index"): Role.PREDICT,
    ("POST", "/v2/repository/models/{name}/load"): Role.ADMIN,
    ("POST", "/v2/repository/models/{name}/unload"): Role.ADMIN,
    ("GET", "/metrics"): Role.PREDICT,
    ("GET", "/"): Role.PREDICT,
    ("GET", "/docs"): Role.PREDICT,
    ("GET", "/docs/assets/{name}"): Role.PREDICT,
    ("GET", "/docs/problems"): Role.PREDICT,
    ("GET", "/openapi.json"): Role.PREDICT,
    ("GET", "/console"): Role.PREDICT,
    ("GET", "/console/sign-in"): None,
    ("POST", "/console/sign-in"): None,
    ("POST", "/console/sign-out"): None,
    **{("GET", f"/console/assets/{name}"): None for name in CONSOLE_ASSETS},
    ("GET", "/console/models/{name}"): Role.PREDICT,
    ("GET", "/console/models/{name}/versions/{number}"): Role.PREDICT,
    ("GET", "/console/models/{name}/versions/{number}/artifact/{file}"): Role.PREDICT,
    ("GET", "/console/models/{name}/versions/{number}/graph"): Role.PREDICT,
    ("GET", "/console/models/{name}/versions/{number}/graph.onnx"): Role.PREDICT,
    ("GET", "/console/netron/{release}/graph"): Role.PREDICT,
    ("GET", "/console/netron/{release}/{file}"): Role.PREDICT,
    ("GET", "/console/models/{name}/versions/{number}/openapi.json"): Role.PREDICT,
    ("GET", "/console/models/{name}/choose"): Role.ADMIN,
    **{
        (method, f"/console/models/{{name}}/{what}"): Role.ADMIN
        for method in ("GET", "POST")
        for what in ("plan", "rollback", "versions/{number}/retire", "versions/{number}/clear")
    },
    ("GET", "/console/workers"): Role.PREDICT,
    ("GET", "/console/events"): Role.PREDICT,
}
PREDICT_PATHS = [
    *(f"/v1/models/same/{verb}" for verb in ("predict", "validate")),
    *(f"/models/same/{verb}" for verb in ("predict", "validate")),
    *(f"/models/same@staging/{verb}" for verb in ("predict", "validate")),
    "/v2/models/same/infer",
    "/v2/models/same/versions/9/infer",
    *(f"/v1/models/same{which}:predict" for which in ("", "/versions/1", "/labels/staging")),
]
WALKED = [*NEEDED.items(), *((("POST", path), Role.PREDICT) for path in PREDICT_PATHS)]
PARTS = {
    "name": "same",
    "number": "9",
    "version": "9",
    "alias": "nosuch",
    "label": "nosuch",
    "file": "nosuch",
    "digest": "sha256:" + "0" * 64,
    "token_id": "nosuch",
    "release": "nosuch",
    "webhook_id": "nosuch",
    "delivery": "1",
}
"""What stands for the parts of a path: nothing that a request could change."""


def made_routes() -> Iterator[GuardedRoute]:
    control = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    control.router.route_class = GuardedRoute
    documentation.add_to(control)
    for route in [*control.routes, *(route for router in ROUTERS for route in router.routes)]:
        assert isinstance(route, GuardedRoute)
        yield route


def test_the_table_has_every_route_with_its_role() -> None:
    found = {(method, route.path): route.role for route in made_routes() for method in route.methods}
    assert found == NEEDED
    assert {path for (_, path), role in NEEDED.items() if role is None} == PUBLIC_PATHS


def test_a_route_that_does_not_say_its_role_is_not_made() -> None:
    control = FastAPI()
    control.router.route_class = GuardedRoute

    async def forgotten() -> None: ...

    with pytest.raises(TypeError, match="/forgotten does not say which role it needs"):
        control.get("/forgotten")(forgotten)


def test_a_router_that_asks_nobody_for_a_role_is_not_taken() -> None:
    router = APIRouter()
    router.get("/forgotten")(lambda: None)
    with pytest.raises(TypeError, match=r"/forgotten.* asks nobody for a role"):
        public_paths(router.routes)


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, httpx.Client]]:
    """A client for each kind of caller."""
    folder: Path = tmp_path_factory.mktemp("roles") / "data"
    with running_gateway(folder, auth="on") as gateway:
        clients = {role.value: gateway.client(headers=bearer(make_token(folder, role).text)) for role in Role}
        clients["nobody"] = gateway.client()
        clients["other model"] = gateway.client(headers=bearer(make_token(folder, "publish", models="other-*").text))
        upload(clients["admin"], "same", models.identity())
        yield clients
        for client in clients.values():
            client.close()


def outcome(client: httpx.Client, method: str, path: str) -> str:
    answer = client.request(method, path.format(**PARTS), content=b"{", headers={"content-type": "application/json"})
    is_turned_away = answer.headers.get("location", "").startswith("/console/sign-in?")
    return "nobody" if is_turned_away else {401: "nobody", 403: "forbidden"}.get(answer.status_code, "let in")


@pytest.mark.parametrize(
    ("route", "needed"), WALKED, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_a_route_lets_in_those_who_have_its_role(
    asking: dict[str, httpx.Client], route: tuple[str, str], needed: Role | None
) -> None:
    is_about_a_model = any(part in route[1] for part in ("models/{name}", "models/same", "quarantine/{name}"))
    expected = {role.value: "let in" if needed is None or role.includes(needed) else "forbidden" for role in Role}
    expected["nobody"] = "let in" if needed is None else "nobody"
    expected["other model"] = "forbidden" if is_about_a_model else expected["publish"]
    assert {who: outcome(client, *route) for who, client in asking.items()} == expected


@pytest.mark.parametrize(("method", "path"), [("GET", "/nosuch"), ("DELETE", "/registry/models"), ("OPTIONS", "/docs")])
def test_what_is_no_route_is_not_told_to_nobody(asking: dict[str, httpx.Client], method: str, path: str) -> None:
    assert outcome(asking["nobody"], method, path) == "nobody"
    assert outcome(asking["predict"], method, path) == "let in"
