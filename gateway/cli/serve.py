"""``sardonyx serve``: the gateway in the foreground."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.connection import read_settings
from gateway.cli.options import AsJson
from gateway.cli.output import Output


def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen at; by default 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen at; by default 8000.")] = None,
    grpc_port: Annotated[
        int | None, typer.Option(help="Port for the Open Inference Protocol over gRPC; by default there is none.")
    ] = None,
    role: Annotated[
        str | None, typer.Option(help="What to serve: all, gateway (predictions) or registry; by default all.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="How many processes answer; by default 1.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where everything is kept; by default ./sardonyx-data.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C.

    Every option is also a SARDONYX_* variable. With --json the address is printed as soon as it listens.
    """
    settings = read_settings(host=host, port=port, grpc_port=grpc_port, role=role, workers=workers, data_dir=data_dir)
    from gateway import supervisor

    output = Output(as_json)
    raise typer.Exit(supervisor.serve(settings, announce=lambda address: output.data({"address": address})))
