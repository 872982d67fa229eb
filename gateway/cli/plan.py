"""``sardonyx plan``: how many hosts a load needs, and what they do with it.

1. The load is a gateway's own log, or made up. It is replayed through the ring that the proxy has and the choices that
   gateways make (``gateway.planner``); nothing is sent to anybody.
2. What versions cost is measured, where that is known: ``--costs`` says by whom. The output says of how many it is not.
3. A fleet is planned by hash and by round robin, unless one of them is chosen, so that one sees what the hash brings.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final

import typer

from gateway.cli.bench import parse_counts
from gateway.cli.connection import connect
from gateway.cli.exits import CommandFailed, ExitCode
from gateway.cli.options import AsJson, Url
from gateway.cli.output import Output, spell_bytes, spell_seconds
from gateway.client.errors import NotFound
from gateway.settings import parse_size

if TYPE_CHECKING:
    from gateway.planner.costs import Costs, Kind
    from gateway.planner.load import Load, Version
    from gateway.planner.plan import Figures, Plan, Target
    from gateway.planner.replay import Fleet
    from gateway.planner.request_log import Reading

COLUMNS: Final = (
    "HOSTS",
    "BALANCE",
    "HIT RATE",
    "COLD P99",
    "EVICTIONS/S",
    "LOADS/S",
    "STORE/S",
    "CORES",
    "BUSIEST HOST",
    "LOWEST HIT RATE",
)
HOST_COLUMNS: Final = ("HOST", "REQUESTS/S", "HIT RATE", "COLD P99", "EVICTIONS/S", "LOADS/S", "STORE/S", "CORES")
_MOST_HOSTS: Final = 10_000
_SHOWN_HOSTS: Final = 16
_GENERATED_WARM_UP: Final = 0.5

Measured = dict["Version", dict[str, float]]


class Spread(StrEnum):
    """Which ways of spreading requests are planned."""

    BOTH = "both"
    HASH = "hash"
    ROUND_ROBIN = "round-robin"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sources:
    """The load, what its versions cost, and what is to be said of both."""

    load: "Load"
    costs: "Costs"
    reading: "Reading | None"


def plan(  # noqa: PLR0913 - the options of a command
    *,
    log: Annotated[
        str | None, typer.Option("--log", metavar="FILE|-", help="A gateway's log; by default a load is made up.")
    ] = None,
    hosts: Annotated[str, typer.Option("--hosts", metavar="N,N", help="How many hosts, each planned.")] = "10",
    memory: Annotated[
        str, typer.Option("--memory", metavar="SIZE", help="A host's memory for models: SARDONYX_MEMORY_BUDGET.")
    ] = "8GiB",
    workers: Annotated[int, typer.Option("--workers", min=1, max=256, help="A host's: they share its memory.")] = 1,
    disk: Annotated[str, typer.Option("--disk", metavar="SIZE", help="SARDONYX_CACHE_BYTES of a host.")] = "20GiB",
    balance: Annotated[Spread, typer.Option("--balance", help="How requests are spread over hosts.")] = Spread.BOTH,
    balance_factor: Annotated[
        int,
        typer.Option(
            "--balance-factor", min=0, max=65535, help="In percent, as deploy print has it; 0 for none, plans quicker."
        ),
    ] = 150,
    costs: Annotated[
        str | None,
        typer.Option(
            "--costs",
            metavar="FILE|registry|log",
            help="What versions cost: measured ones in a file, those of the registry (the default with --url), "
            "or what the log tells (the default without).",
        ),
    ] = None,
    models: Annotated[int, typer.Option("--models", min=1, max=10_000_000, help="Of a load made up.")] = 10_000,
    requests: Annotated[int, typer.Option("--requests", min=2, max=200_000_000, help="Of a load made up.")] = 1_000_000,
    rate: Annotated[
        float | None,
        typer.Option("--rate", min=1e-6, max=1e9, help="Requests a second, in the mean; 1000 if the load is made up."),
    ] = None,
    zipf: Annotated[float, typer.Option("--zipf", min=0, max=5, help="The exponent of the law of Zipf.")] = 1.0,
    swing: Annotated[
        float, typer.Option("--swing", min=0, max=1, help="By how much of itself the rate rises and falls in a day.")
    ] = 0.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another load of the same kind.")] = 0,
    warm_up: Annotated[
        float | None,
        typer.Option(
            "--warm-up",
            min=0,
            max=0.99,
            help="Which part of the requests only fills the caches: 0 of a log, 0.5 if made up.",
        ),
    ] = None,
    request_seconds: Annotated[
        float, typer.Option("--request-seconds", min=0, max=10, help="Processor time of a request beside its run.")
    ] = 0.0001,
    store_delay: Annotated[
        float, typer.Option("--store-delay", min=0, max=60, help="Seconds until the store's first byte.")
    ] = 0.03,
    store_rate: Annotated[
        str, typer.Option("--store-rate", metavar="SIZE", help="Bytes a second that one fetch gets.")
    ] = "100MB",
    hit_rate: Annotated[
        float | None, typer.Option("--hit-rate", min=0, max=1, help="Find the hosts that reach this.")
    ] = None,
    cold_p99: Annotated[
        float | None, typer.Option("--cold-p99", min=0, metavar="SECONDS", help="Find the hosts that keep this.")
    ] = None,
    cores: Annotated[
        float | None, typer.Option("--cores", min=0, help="Find the hosts of which none needs more processors.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Plan how many hosts a load needs.

    It is replayed through the proxy's hash and the gateway's cache.

    A log is what the gateway writes; lines that are none of a request are passed over, bad ones counted. For each
    number of hosts: how many requests find their version loaded, how long the others wait, and what that takes. With
    --hit-rate, --cold-p99 or --cores the fewest hosts are found that are good enough, by hash unless --balance says
    otherwise.
    """
    from gateway.planner.load import Zipf
    from gateway.planner.plan import Target
    from gateway.planner.replay import Fleet

    output = Output(as_json)
    counts = parse_counts(hosts, most=_MOST_HOSTS, option="--hosts")
    if balance_factor and balance_factor <= 100:  # noqa: PLR2004 - percent
        raise typer.BadParameter("a percentage above 100, or 0 for none", param_hint="--balance-factor")
    _refuse_endless(rate=rate, zipf=zipf, hit_rate=hit_rate, cold_p99=cold_p99, cores=cores)
    fleet = Fleet(
        hosts=counts[0],
        memory_bytes=_size(memory, "--memory"),
        workers=workers,
        disk_bytes=_size(disk, "--disk"),
        balance_factor=balance_factor,
        request_seconds=request_seconds,
        store_delay_seconds=store_delay,
        store_bytes_per_second=max(1, _size(store_rate, "--store-rate")),
    )
    made_up = Zipf(models=models, requests=requests, rate=rate or 1000.0, exponent=zipf, swing=swing, seed=seed)
    sources = _read(log, made_up, rate=rate, costs=costs, url=url)
    if warm_up is None:
        warm_up = 0.0 if log is not None else _GENERATED_WARM_UP
    if sources.load.seconds_from(int(len(sources.load) * warm_up)) <= 0:
        detail = "the requests that count come all in one moment, so that nothing can be said of a second"
        raise CommandFailed(ExitCode.BAD_INPUT, code="bad_load", title="The load takes no time", detail=detail)
    target = Target(hit_rate=hit_rate, cold_p99_seconds=cold_p99, cores=cores)
    _plan(output, sources, fleet, counts, balance, target, warm_up)


def _read(log: str | None, made_up: Any, *, rate: float | None, costs: str | None, url: str | None) -> _Sources:
    from gateway.planner.costs import costs_of, merge
    from gateway.planner.request_log import BadLogError, read_log

    reading: Reading | None = None
    if log is None:
        load: Load = made_up.make()
    else:
        try:
            with _open(log) as lines:
                load, reading = read_log(lines, rate=rate)
        except BadLogError as error:
            raise CommandFailed(
                ExitCode.BAD_INPUT, code="bad_log", title="The log cannot be replayed", detail=str(error)
            ) from None
    measured, kinds = _measured(load, reading, costs=costs, url=url)
    guessed = {} if reading is None else reading.guessed
    return _Sources(load=load, costs=costs_of(load.versions, merge(guessed, measured), kinds), reading=reading)


def _measured(
    load: "Load", reading: "Reading | None", *, costs: str | None, url: str | None
) -> "tuple[Measured, Sequence[Kind]]":
    from gateway.planner.costs import KINDS, BadCostsError, merge, read_costs, with_loads
    from gateway.settings import client_settings

    prepared, loads = ({}, {}) if reading is None else (reading.prepared, reading.loads)
    if costs is None:
        costs = "registry" if reading is not None and (url or client_settings().url) else "log"
    if costs == "log":
        return with_loads(prepared, loads), KINDS
    try:
        if costs == "registry":
            return with_loads(merge(_registered(load, prepared, url), prepared), loads), KINDS
        known, kinds = read_costs(Path(costs).read_bytes())
    except BadCostsError as error:
        raise CommandFailed(
            ExitCode.BAD_INPUT, code="bad_costs", title="The costs cannot be used", detail=f"{costs}: {error}"
        ) from None
    return merge(with_loads(prepared, loads), known), kinds


def _registered(load: "Load", prepared: Measured, url: str | None) -> Measured:
    """Return what the registry knows of the load's versions; what has been prepared has been so for all equal ones."""
    from gateway.planner.costs import cost_of_version, merge

    found: Measured = {}
    digests: dict[Version, str] = {}
    with connect(url) as client:
        for model in sorted({model for model, _ in (*load.versions, *prepared)}):
            try:
                for document in client.versions(model):
                    version = model, document["version"]
                    found[version] = cost_of_version(document)
                    digests[version] = document["digest"]
            except NotFound:
                continue  # it has gone since
    by_digest = {digests[version]: cost for version, cost in prepared.items() if version in digests}
    equal = {version: by_digest[digest] for version, digest in digests.items() if digest in by_digest}
    return merge(found, equal)


def _plan(
    output: Output,
    sources: _Sources,
    fleet: "Fleet",
    counts: Sequence[int],
    spread: Spread,
    target: "Target",
    warm_up: float,
) -> None:
    from gateway.planner.plan import MOST_HOSTS, find_hosts, make_plan, with_hosts
    from gateway.planner.replay import Balance

    balances = [Balance(spread.value)] if spread is not Spread.BOTH else list(Balance)
    fleets = [replace(fleet, balance=it, balance_factor=fleet.balance_factor * (it is Balance.HASH)) for it in balances]
    make = partial(make_plan, sources.load, sources.costs, warm_up=warm_up)
    plans = [make(with_hosts(it, count)) for count in counts for it in fleets]
    wanted = target.as_json()
    needed = find_hosts(lambda count: make(with_hosts(fleets[0], count)), target, counts[0]) if wanted else None
    output.data(_document(sources, fleet, plans, wanted, needed, warm_up))
    output.say(*_load_lines(sources, fleet))
    output.table(COLUMNS, [_row(it) for it in plans])
    if plans[0].refused:
        output.say(f"{plans[0].refused:,} requests are for versions that fit into no worker's memory")
    _show_hosts(output, plans[0])
    words = ", ".join(f"{name} {value:g}" for name, value in wanted.items())
    if needed is not None:
        output.say("", f"For {words}: {needed.fleet.hosts:,} hosts by {needed.fleet.balance.value}")
        output.table(COLUMNS, [_row(needed)])
    elif wanted:
        detail = f"no number of hosts up to {MOST_HOSTS:,} comes to {words}"
        if plans[0].refused:
            detail += ", since requests are refused: give a host more --memory, or fewer --workers"
        raise CommandFailed(ExitCode.FAILED, code="target_not_met", title="The target is not met", detail=detail)


def _document(
    sources: _Sources,
    fleet: "Fleet",
    plans: "Sequence[Plan]",
    wanted: Mapping[str, float],
    needed: "Plan | None",
    warm_up: float,
) -> dict[str, Any]:
    load, costs = sources.load, sources.costs
    return {
        "load": {
            "requests": len(load),
            "seconds": round(load.seconds, 3),
            "versions": len(load.versions),
            "measured_versions": costs.known_count,
            "session_bytes": int(costs.memory_bytes.sum(dtype=float)),
            "log": None if sources.reading is None else sources.reading.as_json(),
        },
        "host": {
            "memory_bytes": fleet.memory_bytes,
            "workers": fleet.workers,
            "disk_bytes": int(fleet.disk_bytes),
            "balance_factor": fleet.balance_factor,
        },
        "warm_up": warm_up,
        "plans": [{**it.as_json(), "per_host": [host.as_json() for host in it.hosts]} for it in plans],
        "target": dict(wanted),
        "needed": None if needed is None else needed.as_json(),
    }


def _load_lines(sources: _Sources, fleet: "Fleet") -> Iterator[str]:
    load, costs, reading = sources.load, sources.costs, sources.reading
    rate = len(load) / load.seconds if load.seconds else 0.0
    yield f"{len(load):,} requests for {len(load.versions):,} versions in {load.seconds:,.0f} s: {rate:,.1f} a second"
    sizes = int(costs.memory_bytes.sum(dtype=float))
    yield f"All sessions would take {spell_bytes(sizes)}; a host has room for {spell_bytes(fleet.memory_bytes)}"
    if costs.known_count < len(load.versions):
        yield f"What {len(load.versions) - costs.known_count:,} of the versions take in memory is assumed (--costs)"
    if reading is None:
        return
    for reason, fault in reading.faults.items():
        yield f"Left out: {fault.count:,} of {reading.lines:,} lines ({reason}), the first is line {fault.first_line}"
    if reading.hit_rate is not None:
        yield f"In the log {reading.hit_rate:.2%} of the requests waited for no load"
    if reading.has_shares:
        yield "The log was kept in part: what is asked for rarely may be missing, and hit rates be a little lower"


def _row(found: "Plan") -> tuple[str, ...]:
    total = found.total
    rates = [host.hit_rate for host in found.hosts if host.requests_per_second]
    return (
        f"{found.fleet.hosts:,}",
        found.fleet.balance.value,
        *_cells(total),
        f"{found.busiest_cores:.2f}",
        f"{min(rates):.2%}",
    )


def _cells(figures: "Figures") -> tuple[str, ...]:
    return (
        f"{figures.hit_rate:.2%}",
        spell_seconds(figures.cold_p99_seconds) if figures.cold_p99_seconds else "-",
        f"{figures.evictions_per_second:,.2f}",
        f"{figures.loads_per_second:,.2f}",
        spell_bytes(int(figures.store_bytes_per_second)),
        f"{figures.cores_busy:,.2f}",
    )


def _show_hosts(output: Output, found: "Plan") -> None:
    """Show the hosts of a plan; of many those with the lowest and the highest hit rates."""
    rows = [(f"host-{n}", f"{it.requests_per_second:,.1f}", *_cells(it)) for n, it in enumerate(found.hosts, 1)]
    name = f"Host by host: {found.fleet.hosts:,} hosts by {found.fleet.balance.value}"
    if len(rows) > _SHOWN_HOSTS:
        order = sorted(range(len(rows)), key=lambda index: found.hosts[index].hit_rate)
        half = _SHOWN_HOSTS // 2
        rows = [rows[index] for index in (*order[:half], *order[-half:])]
        name += f"; those of the {half} lowest and highest hit rates"
    output.say("", name)
    output.table(HOST_COLUMNS, rows)


@contextmanager
def _open(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdin.buffer
    else:
        with Path(name).open("rb") as file:
            yield file


def _refuse_endless(**options: float | None) -> None:
    for name, value in options.items():
        if value is not None and not isfinite(value):
            raise typer.BadParameter("not a number that ends", param_hint=f"--{name.replace('_', '-')}")


def _size(text: str, option: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
