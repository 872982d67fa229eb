"""Signing in and out.

1. The token of the form is judged as that of an Authorization header would be: the same verdicts, and the same limit of
   failures for each address.
2. Both forms are taken from this origin only, lest another site signs somebody in as its own, or out.
3. Afterwards the browser goes back to where it was turned away, which is a path below ``/console`` and nothing else.
"""

import re

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from gateway.web.console.forms import read_form
from gateway.web.console.pages import exchange_of, page, services_of
from gateway.web.console.policy import ConsoleRoute
from gateway.web.cookies import CONSOLE, is_same_origin, setting
from gateway.web.guarded import needs
from gateway.web.schemes import came_by_https
from registry.errors import ForeignOrigin, TooManyAttempts, Unauthenticated

router = APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=ConsoleRoute)

SIGN_IN = f"{CONSOLE}/sign-in"

_PLACE = re.compile(r"/console(?:[/?][!-\[\]-~]*)?")
_LONGEST_PLACE = 1024
_SEE_OTHER = 303


@router.get("/sign-in")
@needs(None)
async def show_sign_in(request: Request) -> Response:
    """Show the form; without tokens there is nothing to sign in to."""
    place = place_or_home(request.query_params.get("next", CONSOLE))
    if services_of(request).gate.is_constant:
        return RedirectResponse(place, _SEE_OTHER)
    return await page(request, "sign_in.html", lambda: {"next": place, "trouble": None})


@router.post("/sign-in")
@needs(None)
async def sign_in(request: Request) -> Response:
    """Set the cookie if the token is good, and send the browser back to where it wanted to be."""
    _refuse_foreign(request)
    fields = await read_form(request)
    token, place = fields.get("token", ""), place_or_home(fields.get("next", CONSOLE))
    gate = services_of(request).gate
    if gate.is_constant:
        return RedirectResponse(place, _SEE_OTHER)
    headers = {**exchange_of(request).headers, b"authorization": f"Bearer {token}".encode()}
    try:
        await gate.admit(headers, request.scope)
    except (Unauthenticated, TooManyAttempts) as error:
        trouble = error
        return await page(request, "sign_in.html", lambda: {"next": place, "trouble": trouble}, error=error)
    response = RedirectResponse(place, _SEE_OTHER)
    response.headers["set-cookie"] = setting(token, is_secure=came_by_https(exchange_of(request).headers))
    return response


@router.post("/sign-out")
@needs(None)
async def sign_out(request: Request) -> Response:
    """Have the browser forget the token; the token itself stays good until it is revoked."""
    _refuse_foreign(request)
    response = RedirectResponse(SIGN_IN, _SEE_OTHER)
    response.headers["set-cookie"] = setting("", is_secure=came_by_https(exchange_of(request).headers))
    return response


def place_or_home(place: str) -> str:
    """Return a path below ``/console``, with its query, as it is; in place of anything else, the console's home."""
    is_ours = len(place) <= _LONGEST_PLACE and _PLACE.fullmatch(place) is not None
    return place if is_ours and not place.startswith(SIGN_IN) else CONSOLE


def _refuse_foreign(request: Request) -> None:
    if not is_same_origin(exchange_of(request).headers):
        raise ForeignOrigin("this form is taken from the console's own pages only")
