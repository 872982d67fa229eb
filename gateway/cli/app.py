"""The commands, put together. What each one does stands in the module of its theme."""

from typing import Annotated

import typer

from gateway.cli import (
    bench,
    deploy,
    differences,
    doctor,
    examples,
    history,
    import_mlflow,
    import_triton,
    inputs,
    models,
    moves,
    plan,
    predict,
    quarantine,
    register,
    serve,
    tokens,
    top,
    trials,
    upkeep,
    watch,
    webhooks,
)
from gateway.cli.options import AsJson, Url

app = typer.Typer(
    help="Sardonyx: register ONNX models, serve them by version, promote and roll back.",
    epilog=(
        "Exit codes: 0 done, 1 failed, 2 usage or bad input, 3 not allowed, 4 not found, 5 conflict, "
        "75 try again later."
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:  # noqa: FBT001 - the signature that typer calls
    if value:
        from importlib.metadata import version

        typer.echo(f"sardonyx {version('sardonyx')}")
        raise typer.Exit


@app.callback()
def _everywhere(
    *,
    as_json: AsJson = False,
    url: Url = None,
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    pass


app.command("serve")(serve.serve)
app.command("register")(register.register)
app.command("import-triton")(import_triton.import_triton)
app.command("import-mlflow")(import_mlflow.import_mlflow)
app.command("models")(models.models)
app.command("versions")(models.versions)
app.command("show")(models.show)
app.command("describe")(models.describe)
app.command("history")(history.history)
app.command("diff")(differences.diff)
app.command("promote")(moves.promote)
app.command("rollback")(moves.rollback)
app.command("canary")(trials.canary)
app.command("shadow")(trials.shadow)
app.add_typer(examples.examples, name="examples")
app.command("inputs")(inputs.inputs)
app.add_typer(quarantine.quarantine, name="quarantine")
app.command("retire")(models.retire)
app.command("predict")(predict.predict)
app.command("bench")(bench.bench)
app.command("plan")(plan.plan)
app.command("top")(top.top)
app.command("watch")(watch.watch)
app.add_typer(tokens.tokens, name="token")
app.add_typer(webhooks.webhooks, name="webhook")
app.add_typer(deploy.deploy, name="deploy")
app.add_typer(upkeep.database, name="db")
app.command("fsck")(upkeep.fsck)
app.command("doctor")(doctor.doctor)
