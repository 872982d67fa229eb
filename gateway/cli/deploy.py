"""``sardonyx deploy``: what runs several gateways is told what it has to know."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.connection import read_settings
from gateway.cli.exits import CommandFailed, ExitCode
from gateway.cli.options import AsJson
from gateway.cli.output import Output

if TYPE_CHECKING:
    from gateway.deployment.deployed import Deployment, Server

deploy = typer.Typer(help="Several gateways behind a proxy.", no_args_is_help=True)

_DEFAULT_GATEWAYS = ("127.0.0.1",)


class Kind(StrEnum):
    """What can be printed."""

    HAPROXY = "haproxy"
    ENVOY = "envoy"
    COMPOSE = "compose"


@deploy.command("print")
def print_configuration(
    kind: Annotated[Kind, typer.Argument(help="For whom.", show_default=False)],
    *,
    gateway: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[ID=]HOST[:PORT[/GRPC_PORT]]",
            help="A gateway, once for each. Its id is its place on the ring; by default they are counted.",
        ),
    ] = None,
    registry: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[ID=]HOST[:PORT]", help="A registry, the one that answers first. None: gateways serve everything."
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Where the proxy listens; by default at all its addresses.")] = "*",
    port: Annotated[int, typer.Option(help="Where the proxy takes HTTP.")] = 8080,
    grpc_port: Annotated[int | None, typer.Option(help="Where the proxy takes gRPC; by default nowhere.")] = None,
    balance_factor: Annotated[
        int, typer.Option(help="How much of its share, in percent, a gateway may have before others help.")
    ] = 150,
    replays: Annotated[
        bool, typer.Option("--replays", help="Send again what was under way when a gateway went, too.")
    ] = False,
    dns: Annotated[
        bool, typer.Option("--dns", help="Hosts are names that come and go: look them up again and again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the configuration of a proxy, or of all of it.

    It is for gateways of these settings: times and ports that are not said are those of the SARDONYX_* variables. With
    --json, the text is in a field.
    """
    from gateway.deployment.deployed import Deployment, parse_server

    settings = read_settings()

    def describe() -> Deployment:
        def read(kind: str, texts: Sequence[str]) -> "tuple[Server, ...]":
            numbered = enumerate(texts, 1)
            return tuple(parse_server(text, position=n, kind=kind, settings=settings) for n, text in numbered)

        return Deployment(
            gateways=read("gateway", gateway or _DEFAULT_GATEWAYS),
            registries=read("registry", registry or ()),
            host=host,
            port=port,
            grpc_port=grpc_port,
            balance_factor=balance_factor,
            replays=replays,
            dns=dns,
            settings=settings,
        )

    try:
        text = _printers()[kind](describe())
    except ValueError as error:
        raise CommandFailed(
            ExitCode.BAD_INPUT, code="invalid_deployment", title="The deployment makes no sense", detail=str(error)
        ) from None
    output = Output(as_json)
    output.data({"kind": kind.value, "text": text})
    if not output.as_json:
        output.say(text.rstrip("\n"))


def _printers() -> "dict[Kind, Callable[[Deployment], str]]":
    from gateway.deployment.compose import print_compose
    from gateway.deployment.envoy import print_envoy
    from gateway.deployment.haproxy import print_haproxy

    return {Kind.HAPROXY: print_haproxy, Kind.ENVOY: print_envoy, Kind.COMPOSE: print_compose}
