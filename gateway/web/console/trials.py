"""What an alias's canary and its shadow have shown: what somebody looks at before a promotion."""

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.rates import Rates, Traffic
from gateway.web.shadow_reports import find_trial
from registry.ports import Catalog
from registry.records import Alias, Canary, Model, Trial
from registry.shadow import ShadowReport


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryTrial:
    """A canary beside the version that answers the rest."""

    alias: Alias
    canary: Canary
    traffic: tuple[tuple[str, int, Traffic], ...]
    """``live`` and ``canary``: the version, and what has come of its requests on this host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowTrial:
    """A shadow's answers beside the live ones."""

    alias: Alias
    trial: Trial
    report: ShadowReport

    @property
    def is_over(self) -> bool:
        """True for the last shadow of an alias that has none now."""
        return self.alias.trial != self.trial


def canary_trials(model: Model, rates: Rates) -> Iterator[CanaryTrial]:
    """Yield one for each alias that has a canary."""
    for alias in model.aliases:
        if alias.canary is not None:
            both = ("live", alias.version), ("canary", alias.canary.version)
            traffic = tuple((kind, number, rates.of_version(model.name, number)) for kind, number in both)
            yield CanaryTrial(alias=alias, canary=alias.canary, traffic=traffic)


def shadow_trials(catalog: Catalog, model: Model) -> Iterator[ShadowTrial]:
    """Yield one for each alias that has a shadow, or had one."""
    for alias in model.aliases:
        found = find_trial(catalog, alias)
        if found is not None:
            yield ShadowTrial(alias=alias, trial=found[0], report=found[1])
