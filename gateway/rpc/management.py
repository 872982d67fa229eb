"""The calls beside inference: they answer what the routes of the same protocol over REST do, as messages."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]  # it ships no types
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # as above
from grpc.aio import ServicerContext  # type: ignore[import-untyped]  # as above

from gateway.rpc.calls import Calls
from gateway.rpc.schema import message_class
from gateway.serving.token_verdicts import REFUSAL
from gateway.web import open_inference_repository as repository
from gateway.web import open_inference_routes as routes
from gateway.web.exchange import Exchange
from gateway.web.services import Services
from registry.errors import Conflict, InvalidRequest, NotFound, ServiceError, Unauthenticated
from registry.names import parse_model_name
from registry.roles import Caller, Role


class Ask(NamedTuple):
    """What a call asks for."""

    services: Services
    request: Any
    """The message."""
    caller: Caller | None
    """None where anybody may ask."""
    model: str
    """The model that the message names, as it is written there; empty if none."""

    @property
    def name(self) -> str:
        """The model's name."""
        return parse_model_name(self.model)

    @property
    def actor(self) -> str:
        """The name of whoever asks."""
        return "anonymous" if self.caller is None else self.caller.name


class Method(NamedTuple):
    """One call."""

    answer: Callable[[Ask], Awaitable[Mapping[str, Any]]]
    """Returns the answer's message as JSON has it."""
    role: Role | None = Role.PREDICT
    """Of the caller; None where anybody may ask."""
    model_field: str | None = None
    """Where the message names the model that is touched."""


async def _live(_: Ask) -> Mapping[str, Any]:
    return await routes.live()


async def _ready(ask: Ask) -> Mapping[str, Any]:
    try:
        return await routes.ready(ask.services)
    except ServiceError:
        return {"ready": False}


async def _model_ready(ask: Ask) -> Mapping[str, Any]:
    try:
        if ask.request.version:
            return await routes.is_version_ready(ask.services, ask.name, ask.request.version)
        return await routes.is_model_ready(ask.services, ask.name)
    except (NotFound, Conflict):
        return {"ready": False}


async def _server(_: Ask) -> Mapping[str, Any]:
    return await routes.show_server()


async def _metadata(ask: Ask) -> Mapping[str, Any]:
    if ask.request.version:
        return await routes.show_version(ask.services, ask.name, ask.request.version)
    return await routes.show_model(ask.services, ask.name)


async def _config(ask: Ask) -> Mapping[str, Any]:
    if ask.request.version:
        return {"config": await routes.show_version_config(ask.services, ask.name, ask.request.version)}
    return {"config": await routes.show_config(ask.services, ask.name)}


async def _statistics(ask: Ask) -> Mapping[str, Any]:
    if ask.caller is not None and not ask.request.name:
        return await routes.show_all_statistics(ask.services, ask.caller)
    if ask.request.version:
        return await routes.show_version_statistics(ask.services, ask.name, ask.request.version)
    return await routes.show_statistics(ask.services, ask.name)


async def _index(ask: Ask) -> Mapping[str, Any]:
    if ask.caller is None:
        raise Unauthenticated(REFUSAL)
    return {"models": await repository.index(ask.services, ask.caller, only_ready=ask.request.ready)}


async def _load(ask: Ask) -> Mapping[str, Any]:
    await repository.load(ask.services, ask.name, ask.request.parameters, actor=ask.actor)
    return {}


async def _unload(ask: Ask) -> Mapping[str, Any]:
    await repository.unload(ask.services, ask.name, actor=ask.actor)
    return {}


METHODS: Final[Mapping[str, Method]] = {
    "ServerLive": Method(_live, role=None),
    "ServerReady": Method(_ready, role=None),
    "ServerMetadata": Method(_server),
    "ModelReady": Method(_model_ready, model_field="name"),
    "ModelMetadata": Method(_metadata, model_field="name"),
    "ModelConfig": Method(_config, model_field="name"),
    "ModelStatistics": Method(_statistics, model_field="name"),
    "RepositoryIndex": Method(_index),
    "RepositoryModelLoad": Method(_load, role=Role.ADMIN, model_field="model_name"),
    "RepositoryModelUnload": Method(_unload, role=Role.ADMIN, model_field="model_name"),
}
"""Every call but those that infer."""


class Management:
    """Answers these calls.

    Args:
        services: what it works with.
        calls: receives them.
    """

    def __init__(self, services: Services, calls: Calls) -> None:
        self._services = services
        self._calls = calls

    def handler(self, name: str) -> Callable[[object, ServicerContext], Awaitable[bytes]]:
        """Return what answers one method's calls; their messages are read once it is known who sends them."""
        method, answer_class = METHODS[name], message_class(f"{name}Response")

        async def answer(_: object, context: ServicerContext) -> bytes:
            async def work(exchange: Exchange) -> bytes:
                await self._calls.admit(exchange, context, is_public=method.role is None)
                # A call that anybody may make is not waited for: strangers could hold all the calls that there can be.
                request = _read(name, None if method.role is None else await context.read())
                model = getattr(request, method.model_field) if method.model_field else ""
                if method.role is not None:
                    self._calls.reception.require(exchange, method.role, model or None)
                found = await method.answer(Ask(self._services, request, exchange.caller, model))
                return await self._services.call(_write, found, answer_class)  # thousands of models take a while

            return await self._calls.answer(self._calls.begin(name, context.invocation_metadata()), context, work)

        return answer


def _write(found: Mapping[str, Any], answer_class: Any) -> bytes:
    written: bytes = ParseDict(found, answer_class(), ignore_unknown_fields=True).SerializeToString()
    return written


def _read(name: str, message: object) -> Any:
    """Return the message of a call; what ends without one brings an empty one."""
    try:
        return message_class(f"{name}Request").FromString(message if isinstance(message, bytes) else b"")
    except DecodeError as error:
        raise InvalidRequest(f"the message is no {name}Request") from error
