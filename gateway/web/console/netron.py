"""Netron (MIT, from its own package), which draws a graph in a frame of the console.

1. What is served is the fixed list below: what Netron asks for to draw an ONNX file. The rest of the package, readers
   of other formats and a server in Python, is neither served nor imported.
2. Its page is its own, but for what it says of itself: version 0.0.0 and no date have it neither report to anybody nor
   ask to be updated, and the cookie ``consent`` keeps it from asking a foreign service where the reader is.
3. It may run its own scripts and connect to this gateway; its page alone may have styles within it, which it makes
   while it draws. What a model says of itself may become a link there, never a script.
4. The release is in the path: a browser keeps the files for ever, and never those of another release.
"""

import re
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse

from gateway.web.console.policy import KEPT, FramedRoute
from gateway.web.context import UsesServices
from gateway.web.guarded import needs
from gateway.web.services import Services
from registry.errors import RouteNotFound
from registry.names import parse_model_name, parse_version_number
from registry.roles import Role

_SCRIPT: Final = "text/javascript; charset=utf-8"
_DATA: Final = "application/json"

SERVED: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("base.js", "browser.js", "dagre.js", "flatbuffers.js", "flexbuffers.js"), _SCRIPT),
        **dict.fromkeys(("grapher.js", "hdf5.js", "index.js", "json.js", "message.js", "mlnet.js"), _SCRIPT),
        **dict.fromkeys(("onnx.js", "onnx-proto.js", "onnx-schema.js", "protobuf.js", "python.js"), _SCRIPT),
        **dict.fromkeys(("pytorch.js", "tar.js", "text.js", "tflite.js", "tflite-schema.js"), _SCRIPT),
        **dict.fromkeys(("view.js", "worker.js", "xml.js", "zip.js"), _SCRIPT),
        **dict.fromkeys(("onnx-metadata.json", "pytorch-metadata.json", "tflite-metadata.json"), _DATA),
        "grapher.css": "text/css; charset=utf-8",
        "favicon.ico": "image/x-icon",
        "icon.png": "image/png",
    }
)
"""Every file, by its type."""

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)

_PAGE: Final = "index.html"
_ABOUT_ITSELF: Final = re.compile(r'<meta name="(?:version|date)" content="[^"]*">\n?')
_CONSENT: Final = "consent=1; Path=/console/netron/; SameSite=Strict"

router = APIRouter(prefix="/console/netron/{release}", include_in_schema=False, route_class=FramedRoute)


def page_url(model: str, number: int) -> str:
    """Return where the page is that draws a version's graph."""
    return f"/console/netron/{_release()}/graph?model={model}&version={number}"


@router.get("/graph")
@needs(Role.PREDICT)
async def show_netron(
    services: UsesServices, release: str, model: Annotated[str, Query()], version: Annotated[str, Query()]
) -> Response:
    """Return Netron's page for one version; the graph's own route says who may see it."""
    _check(release)
    name, number = parse_model_name(model), parse_version_number(version)
    page = _page_of((await _read(services, _PAGE)).decode("utf-8"), name, number)
    return HTMLResponse(page, headers={"content-security-policy": POLICY, "set-cookie": _CONSENT})


@router.get("/{file}")
@needs(Role.PREDICT)
async def show_file(services: UsesServices, release: str, file: str) -> Response:
    """Return one of the files of the list."""
    _check(release)
    if file not in SERVED:
        raise RouteNotFound("the console has no such file")
    content = await _read(services, next(name for name in SERVED if name == file))
    return Response(content, media_type=SERVED[file], headers=dict([KEPT]))


def _page_of(page: str, model: str, number: int) -> str:
    """Return Netron's page with what it shall open: a path relative to its own, as it wants it."""
    told = (
        ("version", "0.0.0"),
        ("file", f"../../models/{model}/versions/{number}/graph.onnx"),
        ("identifier", f"{model}-{number}.onnx"),
        ("name", f"{model}, version {number}"),
    )
    lines = "".join(f'<meta name="{name}" content="{escape(content)}">\n' for name, content in told)
    without = _ABOUT_ITSELF.sub("", page)
    return without.replace("<title>", f"{lines}<title>", 1)


def _check(release: str) -> None:
    if release != _release():
        raise RouteNotFound("the console has no such file")


async def _read(services: Services, name: str) -> bytes:
    return await services.call((_folder() / name).read_bytes)


@cache
def _release() -> str:
    return version("netron")


@cache
def _folder() -> Path:
    """Return where the package lies, without importing it.

    Raises:
        RouteNotFound: it is not installed.
    """
    spec = find_spec("netron")
    if spec is None or not spec.submodule_search_locations:
        raise RouteNotFound("the package netron is not installed")
    return Path(spec.submodule_search_locations[0])
