"""Golden examples of a version: list them, replace them, record one more."""

from time import monotonic
from typing import Any

from fastapi import APIRouter, Response

from gateway.web.context import Actor, ModelName, UsesServices, VersionNumber
from gateway.web.example_bodies import free_name, make_example, read_examples, read_inputs, read_outputs, write_examples
from gateway.web.guarded import needs
from gateway.web.json_routes import ExampleRoute
from gateway.web.schemas import ExampleBody, ExamplesBody
from gateway.web.services import Services
from registry.examples import Arrays, Examples
from registry.lookup import resolve_present_version
from registry.ports import Registry
from registry.records import Version
from registry.roles import Role
from registry.signature import Signature

router = APIRouter(
    prefix="/registry/models/{name}/versions/{number}/examples", tags=["versions"], route_class=ExampleRoute
)

_JSON: Any = {"content": {"application/json": {}}}


@router.get("", summary="List a version's golden examples", response_class=Response, responses={200: _JSON})
@needs(Role.PREDICT)
async def list_examples(services: UsesServices, name: ModelName, number: VersionNumber) -> Response:
    """Return the examples, their tensors as a predict request and its answer have them."""
    return _written(await services.call(services.recording.find, name, number))


@router.put("", summary="Replace a version's golden examples", response_class=Response, responses={200: _JSON})
@needs(Role.PUBLISH)
async def replace_examples(
    services: UsesServices, actor: Actor, name: ModelName, number: VersionNumber, body: ExamplesBody
) -> Response:
    """Check the examples, in a sandbox, and keep them in place of those before; an empty list removes them."""

    def edit(signature: Signature, _: Examples) -> Examples:
        return read_examples(body.examples, signature)

    await services.register(services.recording.change, name, number, edit, actor=actor)
    return _written(await services.call(services.recording.find, name, number))


@router.post("", summary="Record one more golden example", response_class=Response, responses={200: _JSON})
@needs(Role.PUBLISH)
async def record_example(
    services: UsesServices, actor: Actor, name: ModelName, number: VersionNumber, body: ExampleBody
) -> Response:
    """Add an example to those that there are; without outputs, with what the version answers now."""
    version = await services.call(_find, services.registry, name, number)
    inputs = read_inputs(body, version.signature)
    if body.outputs is None:
        outputs = await _answer(services, version, inputs)
    else:
        outputs = read_outputs(body.outputs, version.signature, "")

    def edit(_: Signature, before: Examples) -> Examples:
        return Examples((*before.items, make_example(body, free_name(before, body.name), inputs, outputs)))

    await services.register(services.recording.change, name, number, edit, actor=actor)
    return _written(await services.call(services.recording.find, name, number))


async def _answer(services: Services, version: Version, inputs: Arrays) -> Arrays:
    deadline = monotonic() + services.settings.predict_timeout_seconds
    names = tuple(spec.name for spec in version.signature.outputs)
    feed: dict[str, Any] = dict(inputs)
    arrays = await services.predictor.predict(version, feed, names, deadline=deadline, is_sociable=False)
    return dict(zip(names, arrays, strict=True))


def _find(registry: Registry, name: str, number: int) -> Version:
    with registry.reading() as catalog:
        return resolve_present_version(catalog, name, number)


def _written(examples: Examples) -> Response:
    return Response(write_examples(examples), media_type="application/json")
