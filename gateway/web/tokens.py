"""Access tokens: make, list, revoke."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from gateway.web.context import Actor, After, Limit, UsesServices
from gateway.web.guarded import needs
from gateway.web.json_routes import JsonRoute
from gateway.web.schemas import TokenBody, page_json, token_json
from registry.roles import Role

router = APIRouter(prefix="/registry/tokens", tags=["access"], route_class=JsonRoute)


@router.get("", summary="List access tokens, oldest first")
@needs(Role.ADMIN)
async def list_tokens(services: UsesServices, limit: Limit = 100, after: After = None) -> dict[str, Any]:
    """Return tokens without their secrets, those that are no longer good included."""
    return page_json(await services.call(services.tokens.list_page, limit=limit, after=after), token_json)


@router.post("", summary="Make an access token", status_code=201)
@needs(Role.ADMIN)
async def create_token(services: UsesServices, actor: Actor, body: TokenBody) -> JSONResponse:
    """Return the new token with its secret, which is shown this once and can never be shown again."""
    made = await services.write(
        services.tokens.create, body.name, Role(body.role), models=body.models, expires=body.expires, actor=actor
    )
    document = token_json(made.token) | {"token": made.text}
    return JSONResponse(document, status_code=201, headers={"cache-control": "no-store"})


@router.delete("/{token_id}", summary="Revoke an access token")
@needs(Role.ADMIN)
async def revoke_token(services: UsesServices, actor: Actor, token_id: str) -> dict[str, Any]:
    """Return the token, which is good no longer; revoking it again changes nothing."""
    return token_json(await services.write(services.tokens.revoke, token_id, actor=actor))
