"""The console's styles, scripts and pictures: files of the package, read once, each under a URL that names its content.

Anybody may fetch them, as the page to sign in needs them; so each is a route of its own, and none a part of a path.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import resources

from fastapi import APIRouter, Response

from gateway.web.console.policy import KEPT, NOT_KEPT, ConsoleRoute
from gateway.web.guarded import needs

router = APIRouter(prefix="/console/assets", include_in_schema=False, route_class=ConsoleRoute)

_SCRIPT = "text/javascript; charset=utf-8"
_SERVED = {
    "answers.js": _SCRIPT,
    "bodies.js": _SCRIPT,
    "console.css": "text/css; charset=utf-8",
    "console.js": _SCRIPT,
    "csv.js": _SCRIPT,
    "elements.js": _SCRIPT,
    "exact-json.js": _SCRIPT,
    "htmx.min.js": _SCRIPT,
    "image-panel.js": _SCRIPT,
    "image-steps.js": _SCRIPT,
    "mark.svg": "image/svg+xml",
    "npy.js": _SCRIPT,
    "random-input.js": _SCRIPT,
    "tabs.js": _SCRIPT,
    "tensors.js": _SCRIPT,
    "theme.js": _SCRIPT,
    "tools.css": "text/css; charset=utf-8",
    "try-field.js": _SCRIPT,
    "try-it.js": _SCRIPT,
}
"""By the file's name."""

_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asset:
    content: bytes
    digest: str


def asset_url(name: str) -> str:
    """Return where a page finds a file of this name, as it is now.

    Raises:
        KeyError: it is not served; a template names it wrongly.
    """
    return f"/console/assets/{name}?digest={_assets()[name].digest}"


def _shower(name: str) -> Callable[[str], Awaitable[Response]]:
    @needs(None)
    async def show_asset(digest: str = "") -> Response:
        asset = _assets()[name]
        kept = KEPT if digest == asset.digest else NOT_KEPT
        return Response(asset.content, media_type=_SERVED[name], headers=dict([kept]))

    return show_asset


@cache
def _assets() -> dict[str, _Asset]:
    found = {}
    for file in resources.files("gateway.web.console").joinpath("assets").iterdir():
        if file.name in _SERVED:
            content = file.read_bytes()
            found[file.name] = _Asset(content=content, digest=sha256(content).hexdigest()[:_DIGITS])
    return found


for _name in _SERVED:
    router.get(f"/{_name}")(_shower(_name))
