"""Scrapes of a gateway, as Prometheus reads them."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True, slots=True)
class Scrape:
    """What ``/metrics`` has said."""

    text: str
    samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    def value(self, name: str, **labels: str) -> float:
        """Return one sample; 0 where there is none."""
        return self.samples.get((name, frozenset(labels.items())), 0.0)

    def by(self, label: str, name: str, **labels: str) -> dict[str, float]:
        """Return the samples with these labels and one more, by that one."""
        found = {}
        for (sampled, pairs), value in self.samples.items():
            rest = dict(pairs)
            if sampled == name and label in rest and labels == {key: rest[key] for key in rest if key != label}:
                found[rest[label]] = value
        return found

    def labels(self) -> dict[str, set[str]]:
        """Return the names of the labels of each sample's name."""
        found: dict[str, set[str]] = {}
        for name, pairs in self.samples:
            found.setdefault(name, set()).update(key for key, _ in pairs)
        return found


def read_scrape(text: str) -> Scrape:
    """Read the text of a scrape."""
    families = text_string_to_metric_families(text)
    samples = {(it.name, frozenset(it.labels.items())): it.value for family in families for it in family.samples}
    return Scrape(text, samples)


def scrape(client: httpx.Client) -> Scrape:
    """Return what the gateway shows now."""
    return read_scrape(client.get("/metrics").raise_for_status().text)
