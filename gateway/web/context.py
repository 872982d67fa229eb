"""What a control-plane route needs of its request, as FastAPI dependencies."""

from typing import Annotated

from fastapi import Depends, Path, Query, Request

from gateway.web.documented import ALIAS_PATTERN, DIGEST_PATTERN, MODEL_PATTERN, VERSION_PATTERN
from gateway.web.exchange import CONTEXT, Exchange
from gateway.web.services import Services
from registry.artifact import Digest, parse_digest
from registry.names import parse_alias_name, parse_model_name, parse_version_number
from registry.roles import Caller


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def _caller(request: Request) -> Caller:
    exchange: Exchange = request.scope[CONTEXT]
    if exchange.caller is None:
        raise AssertionError("a route that asks who calls needs a role")
    return exchange.caller


def _actor(request: Request) -> str:
    return _caller(request).name


def _model_name(
    name: Annotated[
        str, Path(description="a model's name", examples=["iris"], json_schema_extra={"pattern": MODEL_PATTERN})
    ],
) -> str:
    return parse_model_name(name)


def _version_number(
    number: Annotated[
        str, Path(description="a version's number", examples=["1"], json_schema_extra={"pattern": VERSION_PATTERN})
    ],
) -> int:
    return parse_version_number(number)


def _alias_name(
    alias: Annotated[
        str, Path(description="an alias's name", examples=["production"], json_schema_extra={"pattern": ALIAS_PATTERN})
    ],
) -> str:
    return parse_alias_name(alias)


def _digest(
    digest: Annotated[
        str,
        Path(
            description="sha256: and 64 hexadecimal digits",
            examples=["sha256:" + "0" * 64],
            json_schema_extra={"pattern": DIGEST_PATTERN},
        ),
    ],
) -> Digest:
    return parse_digest(digest)


UsesServices = Annotated[Services, Depends(_services)]
Asking = Annotated[Caller, Depends(_caller)]
Actor = Annotated[str, Depends(_actor)]
ModelName = Annotated[str, Depends(_model_name)]
VersionNumber = Annotated[int, Depends(_version_number)]
AliasName = Annotated[str, Depends(_alias_name)]
DigestInPath = Annotated[Digest, Depends(_digest)]
Limit = Annotated[int, Query(ge=1, le=1000, description="how many items at most")]
AfterNumber = Annotated[int, Query(ge=0, lt=2**63, description="the cursor that the page before ended with")]
After = Annotated[str | None, Query(max_length=256, description="the cursor that the page before ended with")]
