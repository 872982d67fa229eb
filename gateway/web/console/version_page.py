"""A version's page: what it takes and gives, what it is made of, and what was measured.

Its files and its OpenAPI document can be had from here, by the functions that answer the REST routes: a link in a page
cannot bear the header that those want of a browser.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from gateway.web import versions
from gateway.web.console.model_page import uses_of
from gateway.web.console.pages import may, page
from gateway.web.console.policy import ConsoleRoute
from gateway.web.console.reports import batching_sentences, licences, thread_sentences
from gateway.web.console.tools import tools_of
from gateway.web.context import Asking, ModelName, UsesServices, VersionNumber
from gateway.web.guarded import needs
from gateway.web.inputs import inputs_of
from registry.lookup import resolve_model, resolve_version
from registry.roles import Role

router = APIRouter(prefix="/console/models/{name}/versions/{number}", include_in_schema=False, route_class=ConsoleRoute)


@router.get("")
@needs(Role.PREDICT)
async def show_version(
    request: Request, services: UsesServices, asking: Asking, name: ModelName, number: VersionNumber
) -> Response:
    """Show one version, also one that is retired."""

    def gather() -> Mapping[str, Any]:
        with services.registry.reading() as catalog:
            version = resolve_version(catalog, name, number)
            model = resolve_model(catalog, name)
            examples = catalog.find_examples(name, number)
        return {
            "model": model,
            "version": version,
            "tools": tools_of(request, version, examples),
            "uses": uses_of(model).get(number, []),
            "examples": examples.items,
            "batching": batching_sentences(version),
            "threads": thread_sentences(version.inspection.threads),
            "licences": licences(version),
            "location": services.store.locate(version.artifact.graph.digest),
            "inputs": inputs_of(services, version) if may(asking, Role.PUBLISH, name) else None,
            "traffic": services.rates.of_version(name, number),
            "may_move": may(asking, Role.ADMIN, name),
        }

    return await page(request, "version.html", gather)


router.get("/artifact/{file}")(versions.download_file)
router.get("/openapi.json")(versions.show_openapi)
