"""What a version is tried with beside the one that answers: a canary, a shadow."""

from collections.abc import Iterator, Mapping
from math import inf
from typing import Annotated, Any

import typer

from gateway.cli.connection import connect
from gateway.cli.models import spell_canary
from gateway.cli.moves import move_options, report_move
from gateway.cli.options import DEFAULT_ALIAS, Alias, AllowBreaking, AsJson, Model, Reason, Url
from gateway.cli.output import Output

Version = Annotated[int | None, typer.Argument(metavar="VERSION", min=1, help="The version to try.")]
Percent = Annotated[
    float | None, typer.Argument(metavar="PERCENT", help="Its share of the requests: more than 0, at most 100.")
]


def canary(  # noqa: PLR0913 - a parameter is an option
    name: Model,
    version: Version = None,
    percent: Percent = None,
    *,
    max_error_rate: Annotated[
        float | None,
        typer.Option(
            "--max-error-rate", min=0, max=1, help="Drop it when a larger share of its answers fails, such as 0.05."
        ),
    ] = None,
    max_latency_ms: Annotated[
        float | None,
        typer.Option("--max-latency-ms", min=0, help="Drop it when more than 1 in 100 answers takes longer."),
    ] = None,
    drop: Annotated[bool, typer.Option("--drop", help="Send all requests to the alias's own version again.")] = False,
    promote: Annotated[bool, typer.Option("--promote", help="Point the alias at the canary.")] = False,
    allow_breaking: AllowBreaking = False,
    reason: Reason = "",
    alias: Alias = DEFAULT_ALIAS,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Try a version on a share of the requests.

    With --drop the alias's own version gets all of them again, with --promote the canary does. It is dropped by itself
    when it passes a limit that was given.
    """
    is_set = version is not None and percent is not None
    if [is_set, drop, promote].count(True) != 1 or (not is_set and (version is not None or percent is not None)):
        raise typer.BadParameter("give VERSION and PERCENT, or --drop alone, or --promote alone")
    if max_latency_ms is not None and not 0 < max_latency_ms < inf:
        raise typer.BadParameter("give milliseconds, more than 0", param_hint="--max-latency-ms")
    if not is_set and (max_error_rate is not None or max_latency_ms is not None):
        raise typer.BadParameter("limits go with VERSION and PERCENT")
    output = Output(as_json)
    with connect(url) as client:
        if promote:
            found = client.alias(name, alias)
            if found["canary"] is None:
                raise typer.BadParameter(f"{name}@{alias} has no canary", param_hint="--promote")
            moved = client.promote(
                name,
                found["canary"]["version"],
                alias=alias,
                expected=found["version"],
                expected_generation=found["generation"],  # it may have been dropped, or be another one, by now
                reason=reason,
                allow_breaking=True,  # it was accepted beside the live version, and has answered its callers since
            )
            report_move(output, client, moved, url=url, timeout_seconds=None)
            return
        limits = {"max_error_rate": max_error_rate, "max_latency_ms": max_latency_ms}
        changed = client.canary(
            name, version, percent, alias=alias, reason=reason, allow_breaking=allow_breaking, **limits
        )
    output.data(changed)
    output.say(*canary_lines(changed, url))


def shadow(
    name: Model,
    version: Version = None,
    percent: Percent = None,
    *,
    drop: Annotated[bool, typer.Option("--drop", help="Copy nothing more; what was found stays.")] = False,
    allow_breaking: AllowBreaking = False,
    reason: Reason = "",
    alias: Alias = DEFAULT_ALIAS,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Try a version on copies of the requests.

    The version answers nobody; its answers are compared with the live ones. NAME alone shows what was found.
    VERSION and PERCENT begin a new trial; callers notice nothing of it.
    """
    if (version is None) != (percent is None) or (drop and version is not None):
        raise typer.BadParameter("give VERSION and PERCENT, or --drop alone, or nothing to see what was found")
    output = Output(as_json)
    with connect(url) as client:
        if version is None and not drop:
            found = client.shadow_report(name, alias=alias)
            output.data(found)
            output.say(*report_lines(found))
            return
        changed = client.shadow(name, version, percent, alias=alias, reason=reason, allow_breaking=allow_breaking)
    output.data(changed)
    output.say(*shadow_lines(changed, url))


def canary_lines(changed: Mapping[str, Any], url: str | None) -> Iterator[str]:
    """Yield where an alias's requests go now, and the command that takes the canary back."""
    where = f"{changed['model']}@{changed['alias']}"
    found = changed["canary"]
    if found is None:
        yield f"{where}: every request -> {changed['version']}"
        return
    yield f"{where}: {spell_canary(found)}, the rest -> {changed['version']}"
    yield f"Undo with  sardonyx canary {changed['model']} --drop{move_options(changed, url)}"


def shadow_lines(changed: Mapping[str, Any], url: str | None) -> Iterator[str]:
    """Yield what is copied now, and how to see what comes of it."""
    where = f"{changed['model']}@{changed['alias']}"
    found = changed["shadow"]
    if found is None:
        yield f"{where}: nothing is copied"
        return
    options = move_options(changed, url)
    yield f"{where}: copies of {found['percent']:g} % -> {found['version']}; {changed['version']} answers"
    yield f"See with   sardonyx shadow {changed['model']}{options}"
    yield f"Undo with  sardonyx shadow {changed['model']} --drop{options}"


def report_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a trial has shown, an output a line."""
    where, now, report = f"{found['model']}@{found['alias']}", found["shadow"], found["report"]
    yield f"{where}: " + ("no shadow" if now is None else f"copies of {now['percent']:g} % -> {now['version']}")
    if report is None:
        return
    yield f"  {report['shadow']} beside {report['live']}: compared {report['compared']}, skipped {report['skipped']}"
    for code, count in sorted(report["failures"].items()):
        yield f"  failed   {count} ({code})"
    for output in report["outputs"]:
        words = [f"{output['same']} of {output['compared']} the same to the last bit"]
        if output["same"] < output["compared"]:
            words.append(
                f"difference {output['mean_difference']:.3g} in the mean, {output['max_difference']:.3g} at most"
            )
        if output["rows"]:
            words.append(f"{output['changed']} of {output['rows']} rows decide otherwise")
        if output["incomparable"]:
            words.append(f"{output['incomparable']} not to be compared")
        yield f"  {output['name']}: {'; '.join(words)}"
