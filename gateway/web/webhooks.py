"""Webhooks: make, list, change and delete them, read their logs, have something delivered."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from fastapi.responses import JSONResponse

from gateway.web.context import Actor, AfterNumber, Limit, UsesServices
from gateway.web.guarded import needs
from gateway.web.json_routes import JsonRoute
from gateway.web.schemas import page_json
from gateway.web.webhook_schemas import WebhookBody, WebhookChangeBody, delivery_json, listed, webhook_json
from registry.errors import DeliveryNotFound
from registry.names import quoted
from registry.roles import Role

router = APIRouter(prefix="/registry/webhooks", tags=["webhooks"], route_class=JsonRoute)

_MOST_DIGITS = 18
_SHOWN_ONCE = {"cache-control": "no-store"}


def _delivery_number(
    delivery: Annotated[str, Path(description="a delivery's number", examples=["1"])],
) -> int:
    if not (delivery.isascii() and delivery.isdigit() and len(delivery) <= _MOST_DIGITS):
        raise DeliveryNotFound(f"{quoted(delivery)} is no number of a delivery")
    return int(delivery)


DeliveryNumber = Annotated[int, Depends(_delivery_number)]


@router.get("", summary="List webhooks, oldest first")
@needs(Role.ADMIN)
async def list_webhooks(services: UsesServices) -> dict[str, Any]:
    """Return all webhooks, without their secrets; there are few."""
    found = await services.call(services.webhooks.list_all)
    return {"items": [webhook_json(webhook) for webhook in found], "next": None}


@router.post("", summary="Make a webhook", status_code=201)
@needs(Role.ADMIN)
async def create_webhook(services: UsesServices, actor: Actor, body: WebhookBody) -> JSONResponse:
    """Return the new webhook with its secret, which is shown this once and can never be shown again."""
    made = await services.write(
        services.webhooks.create,
        body.url,
        kinds=body.kinds,
        models=listed(body.models),
        is_active=body.active,
        actor=actor,
    )
    headers = {**_SHOWN_ONCE, "location": f"/registry/webhooks/{made.webhook.id}"}
    return JSONResponse(webhook_json(made.webhook) | {"secret": made.text}, status_code=201, headers=headers)


@router.get("/{webhook_id}", summary="One webhook")
@needs(Role.ADMIN)
async def show_webhook(services: UsesServices, webhook_id: str) -> dict[str, Any]:
    """Return the webhook, without its secret."""
    return webhook_json(await services.call(services.webhooks.find, webhook_id))


@router.patch("/{webhook_id}", summary="Change a webhook")
@needs(Role.ADMIN)
async def change_webhook(
    services: UsesServices, actor: Actor, webhook_id: str, body: WebhookChangeBody
) -> JSONResponse:
    """Return the webhook as it is now; with its secret if a new one was asked for, this once."""
    changed = await services.write(services.webhooks.change, webhook_id, body.as_change(), actor=actor)
    secret = {"secret": changed.secret} if body.new_secret else {}
    return JSONResponse(webhook_json(changed) | secret, headers=_SHOWN_ONCE)


@router.delete("/{webhook_id}", summary="Delete a webhook and its log", status_code=204, response_class=Response)
@needs(Role.ADMIN)
async def delete_webhook(services: UsesServices, actor: Actor, webhook_id: str) -> None:
    """Forget the webhook: nothing is told to it any more but what is just being sent."""
    await services.write(services.webhooks.delete, webhook_id, actor=actor)


@router.get("/{webhook_id}/deliveries", summary="What was told to a webhook, newest first")
@needs(Role.ADMIN)
async def list_deliveries(
    services: UsesServices, webhook_id: str, limit: Limit = 100, after: AfterNumber = 0
) -> dict[str, Any]:
    """Return deliveries, newest first; ``next`` is what to pass as ``after``."""
    find = services.webhooks.list_deliveries
    return page_json(await services.call(find, webhook_id, limit=limit, after=after or None), delivery_json)


@router.post("/{webhook_id}/deliveries/{delivery}/redeliver", summary="Deliver once more", status_code=202)
@needs(Role.ADMIN)
async def redeliver(services: UsesServices, actor: Actor, webhook_id: str, delivery: DeliveryNumber) -> dict[str, Any]:
    """Return the new delivery, which is sent within seconds; the log shows what becomes of it."""
    return delivery_json(await services.call(services.webhooks.redeliver, webhook_id, delivery, actor=actor))


@router.post("/{webhook_id}/test", summary="Deliver a ping", status_code=202)
@needs(Role.ADMIN)
async def test_webhook(services: UsesServices, actor: Actor, webhook_id: str) -> dict[str, Any]:
    """Return the delivery of a ping, which is sent within seconds, once; the log shows what becomes of it."""
    return delivery_json(await services.call(services.webhooks.test, webhook_id, actor=actor))
