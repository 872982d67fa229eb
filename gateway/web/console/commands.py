"""The command that does what a plan shows, or the commands, where the command line takes two steps to it."""

from collections.abc import Iterator
from decimal import Decimal

from gateway.web.console.move_forms import MoveForm
from registry.names import PRODUCTION
from registry.promotion import Plan
from registry.records import Canary


def move_command(plan: Plan, form: MoveForm, *, is_breaking: bool) -> str:
    """Return what to type for a move, a line for each step.

    Args:
        plan: what it would do.
        form: what was asked for: of a canary and a shadow only what it names is a step.
        is_breaking: whether callers would stumble, which the commands have to allow then.
    """
    allowed = " --allow-breaking" if is_breaking else ""
    return "\n".join(f"sardonyx {step}{_alias(plan)}" for step in _steps(plan, form, allowed))


def rollback_command(plan: Plan) -> str:
    """Return what to type for a rollback."""
    return f"sardonyx {_back(plan)}{_alias(plan)}"


def _steps(plan: Plan, form: MoveForm, allowed: str) -> Iterator[str]:
    canary = plan.canary if form.canary is not None and not form.drop_canary else None
    shadow = plan.shadow if form.shadow is not None and not form.drop_shadow else None
    if plan.is_move and form.takes_back:
        yield _back(plan)
    elif plan.is_move or not any((canary, shadow, form.drop_canary, form.drop_shadow)):
        expected = "" if plan.from_version is None else f" --expected {plan.from_version}"
        yield f"promote {plan.model} {plan.version}{expected}{allowed}"
    if canary is not None:
        yield f"canary {plan.model} {canary.version} {_number(canary.percent)}{_limits(canary)}{allowed}"
    elif form.drop_canary and not plan.is_move:  # it goes with the version before
        yield f"canary {plan.model} --drop"
    if shadow is not None:
        yield f"shadow {plan.model} {shadow.version} {_number(shadow.percent)}{allowed}"
    elif form.drop_shadow and not plan.is_move:
        yield f"shadow {plan.model} --drop"


def _back(plan: Plan) -> str:
    return f"rollback {plan.model} --to {plan.version}"


def _alias(plan: Plan) -> str:
    return "" if plan.alias == PRODUCTION else f" --alias {plan.alias}"


def _limits(canary: Canary) -> str:
    rate, seconds = canary.max_error_rate, canary.max_latency_seconds
    errors = "" if rate is None else f" --max-error-rate {_number(rate)}"
    latency = "" if seconds is None else f" --max-latency-ms {_number(seconds, factor=1000)}"
    return errors + latency


def _number(value: float, *, factor: int = 1) -> str:
    """Spell a number with all its digits, and without an exponent."""
    return f"{(Decimal(str(value)) * factor).normalize():f}"
