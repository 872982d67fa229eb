"""What a promotion would change, as a table: what callers notice, what it takes, how far it is proven.

1. The gateway decides what breaks callers; the words beside a row are its own (``registry.compatibility``).
2. What was never measured is a dash, never a zero.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.cli.models import spell_canary, spell_standing
from gateway.cli.output import Output, spell_bytes, spell_seconds
from gateway.client.client import Client
from gateway.client.errors import ApiError

COLUMNS: Final = ("WHAT", "NOW", "THEN", "EFFECT")

_NOTHING_LIVE = frozenset({"no_active_version", "alias_not_found"})
_LEVELS: Final = ("none", "close", "stable", "exact")

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing that is another one then, or that somebody who promotes wants to see all the same."""

    what: str
    now: str
    then: str
    effect: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the gateway has beside its plan: the alias before, and both versions."""

    alias: Document | None
    live: Document | None
    candidate: Document

    @property
    def generation(self) -> int:
        """The state of the alias: 0 where nothing is live, also if somebody has made the alias since the plan."""
        return 0 if self.alias is None or self.live is None else int(self.alias["generation"])


def look_around(client: Client, plan: Document) -> Surroundings:
    """Ask for what a plan leaves out."""
    model = plan["model"]
    numbers = (plan["from"], plan["to"])
    live, candidate = (None if number is None else client.version(model, number).document for number in numbers)
    assert candidate is not None  # noqa: S101 - a plan leads somewhere
    return Surroundings(alias=_find_alias(client, model, plan["alias"]), live=live, candidate=candidate)


def plan_rows(plan: Document, around: Surroundings) -> list[Row]:
    """Return the table: who answers, then what callers notice, then what the versions take and what is proven."""
    return [
        _live_row(plan, around),
        *_signature_rows(plan),
        *_cost_rows(plan["costs"]),
        _batching_row(around),
        _standing_row(around),
        _examples_row(plan, around),
    ]


def show_plan(output: Output, plan: Document, rows: Sequence[Row], *, allow_breaking: bool) -> None:
    """Print the verdict and the table; only the verdict where stdout is for data."""
    output.say(verdict(plan, allow_breaking=allow_breaking))
    output.table(COLUMNS, [(row.what, row.now, row.then, row.effect) for row in rows])


def verdict(plan: Document, *, allow_breaking: bool) -> str:
    """Return in a line what would move, and whether callers could live with it."""
    where = f"{plan['model']}@{plan['alias']}: {_spell_end(plan['from'])} -> {plan['to']}"
    if plan["from"] == plan["to"]:
        return f"{plan['model']}@{plan['alias']} points at version {plan['to']} already; nothing would move"
    if plan["differences"]:
        would = "Would move" if allow_breaking else "Would be refused without --allow-breaking:"
        return f"{would} {where}; callers would break ({plan['compatibility']})"
    kind = f" ({plan['compatibility']})" if plan["compatibility"] else ""
    return f"Would move {where}; no caller would break{kind}"


def _live_row(plan: Document, around: Surroundings) -> Row:
    """Return who answers; a canary and a shadow go with the version beside which they were set."""
    now = _spell_end(plan["from"])
    trials = []
    for kind in ("canary", "shadow"):
        trial = None if around.alias is None else around.alias[kind]
        if trial is not None:
            now += f", {kind} {spell_canary(trial)}"
            trials.append(kind)
    if plan["from"] == plan["to"]:
        return Row(what="live", now=now, then=now, effect="nothing moves")
    return Row(what="live", now=now, then=str(plan["to"]), effect=f"the {' and the '.join(trials)} ends" * bool(trials))


def _signature_rows(plan: Document) -> Iterator[Row]:
    for difference in plan["differences"]:
        # An output that is another one breaks callers for certain; an input may go on taking some requests.
        is_narrowing = plan["compatibility"] == "narrowing" and difference["path"].startswith("inputs/")
        yield _difference_row(difference, "narrowing" if is_narrowing else "breaking")
    for change in plan["changes"]:
        yield _difference_row(change, "widening" if plan["compatibility"] == "widening" else "harmless")
    if plan["compatibility"] == "identical":
        yield Row(what="signature", now="", then="", effect="identical")


def _difference_row(difference: Document, effect: str) -> Row:
    return Row(what=difference["path"], now=difference["before"], then=difference["after"], effect=effect)


def _cost_rows(costs: Document) -> Iterator[Row]:
    yield from measure_rows(costs["from"] or {}, costs["to"])


def measure_rows(before: Document, after: Document) -> Iterator[Row]:
    """Yield what two versions take, by their records; what either does not say is a dash."""
    for name, words, spell in (
        ("opset", "opset", str),
        ("size_bytes", "size", spell_bytes),
        ("memory_bytes", "memory", spell_bytes),
        ("load_seconds", "load", spell_seconds),
        ("run_seconds", "run", spell_seconds),
    ):
        was, now = before.get(name), after.get(name)
        effect = "" if name == "opset" else _growth(was, now)
        yield Row(what=words, now=spell_known(was, spell), then=spell_known(now, spell), effect=effect)


def spell_known(value: Any, spell: Callable[[Any], str]) -> str:
    """Spell a value; a dash where there is none."""
    return "-" if value is None else spell(value)


def _growth(was: float | None, now: float | None) -> str:
    """Spell how much more or less something is: ``+12 %``, ``x 3.1``; nothing where it is hardly other."""
    if not was or now is None or was == now:
        return ""
    ratio = now / was
    if ratio >= 2:  # noqa: PLR2004 - percents beyond a hundred are hard to read
        return f"x {ratio:.1f}"
    percent = round((ratio - 1) * 100)
    return f"{percent:+d} %" if percent else ""


def _batching_row(around: Surroundings) -> Row:
    levels = [spell_proven(document) for document in (around.live, around.candidate)]
    known = [_LEVELS.index(level) for level in levels if level in _LEVELS]
    weaker = len(known) == len(levels) and known[1] < known[0]
    return Row(what="batching", now=levels[0], then=levels[1], effect="fewer requests share runs" * weaker)


def spell_proven(document: Document | None) -> str:
    """Spell how far a version's rows keep their bits in batches, as it was proven."""
    if document is None:
        return "-"
    report = document.get("batch_report")
    return "-" if report is None else str(report["level"])


def _standing_row(around: Surroundings) -> Row:
    now = "-" if around.live is None else spell_standing(around.live)
    return Row(what="runs", now=now, then=spell_standing(around.candidate))


def _examples_row(plan: Document, around: Surroundings) -> Row:
    """Return the golden examples; those of what would go live have just been run: a plan is a rehearsal."""
    now = "-" if around.live is None else _count_examples(around.live)
    count = around.candidate.get("examples") or 0
    is_rehearsed = count > 0 and plan["from"] != plan["to"]
    return Row(
        what="golden examples", now=now, then=_count_examples(around.candidate), effect="all pass" * is_rehearsed
    )


def _count_examples(document: Document) -> str:
    return str(document.get("examples") or "none")


def _find_alias(client: Client, model: str, alias: str) -> Document | None:
    try:
        return client.alias(model, alias)
    except ApiError as error:
        if error.code in _NOTHING_LIVE:
            return None
        raise


def _spell_end(version: int | None) -> str:
    return "nothing" if version is None else str(version)
