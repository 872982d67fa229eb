"""What ``sardonyx doctor`` says about the machine: its locale, its processors, its clocks."""

import locale
from datetime import datetime, timedelta
from typing import Final

from gateway.cli.checks import Check, Verdict

STRING_LOCALE: Final = "en_US.UTF-8"
"""What ONNX Runtime's string operators ask the system for."""

_SKEW_NOTED: Final = timedelta(seconds=2)
_SKEW_HARMFUL: Final = timedelta(minutes=5)


def check_locale() -> Check:
    """Look whether the system has the locale that string models need."""
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, STRING_LOCALE)
    except locale.Error:
        return Check(
            name="locale",
            verdict=Verdict.WARNING,
            detail=f"{STRING_LOCALE} is missing: models with string operators may not load",
            advice=f"locale-gen {STRING_LOCALE} (Debian: install locales first)",
        )
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
    return Check(name="locale", verdict=Verdict.OK, detail=STRING_LOCALE)


def check_cpus(*, affinity: int, quota: float | None, workers: int, run_threads: int) -> Check:
    """Hold the processors that may be used against the processes and threads that want them.

    Args:
        affinity: how many this process may run on.
        quota: how many its control groups may keep busy, such as 1.5; None if all.
        workers: ``SARDONYX_WORKERS``.
        run_threads: ``SARDONYX_RUN_THREADS``; 0 where measuring decides.
    """
    usable = min(affinity, quota) if quota is not None else affinity
    limit = "" if quota is None else f", a quota of {quota:g}"
    detail = f"{affinity} to run on{limit}, for {workers} worker{'s' * (workers > 1)}"
    if workers > usable:
        verdict, advice = Verdict.WARNING, f"SARDONYX_WORKERS={max(1, int(usable))}, or a larger quota"
        detail += ": they take each other's time"
    elif run_threads > usable / workers:
        verdict, advice = Verdict.WARNING, f"SARDONYX_RUN_THREADS={max(1, int(usable / workers))}, or fewer workers"
        detail += f" with runs of up to {run_threads} threads: more than a worker's share"
    elif quota is not None and quota < affinity:
        verdict, advice = Verdict.OK, ""
        detail += ": where it is used up everything stands still until the next tenth of a second"
    else:
        verdict, advice = Verdict.OK, ""
    return Check(name="cpus", verdict=verdict, detail=detail, advice=advice)


def check_clock(name: str, there: datetime, *, before: datetime, after: datetime) -> Check:
    """Hold somebody else's clock against this machine's, which was read before and after asking."""
    # A clock that says whole seconds may be one behind, without being wrong.
    early, late = before - there - timedelta(seconds=1), there - after
    skew = max(early, late, timedelta(0))
    seconds = f"{skew.total_seconds():.1f} s {'behind' if early > late else 'ahead of'} this machine's"
    if skew <= _SKEW_NOTED:
        return Check(name=name, verdict=Verdict.OK, detail="as this machine's")
    verdict = Verdict.FAILED if skew > _SKEW_HARMFUL else Verdict.WARNING
    return Check(name=name, verdict=verdict, detail=seconds, advice="have both machines follow a time server (chrony)")
