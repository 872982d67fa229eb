"""What comparing a shadow's answers with the live ones has shown, of the shadow that an alias has or had."""

from registry.ports import Catalog
from registry.records import Alias, Trial
from registry.shadow import ShadowReport


def find_trial(catalog: Catalog, alias: Alias) -> tuple[Trial, ShadowReport] | None:
    """Return the trial that an alias's shadow belongs to, or its last one, and the report; None if it never had one."""
    known, now = catalog.find_shadow_report(alias.model, alias.name), alias.trial
    if now is not None and (known is None or known[0] != now):
        return now, ShadowReport()
    return known
