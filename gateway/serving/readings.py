"""What a worker's parts say of themselves, for the metrics."""

from collections.abc import Iterable

from gateway.host import anonymous_bytes
from gateway.metrics import CONNECTIONS, Merge, Reading
from gateway.serving.change_feed import ChangeFeed
from gateway.serving.isolated import AnySession
from gateway.serving.isolating import Isolating
from gateway.serving.memory_guard import MemoryGuard
from gateway.serving.predictor import Predictor
from gateway.serving.preparing import Preparing
from gateway.serving.session_cache import SessionCache
from gateway.serving.shadowing import Shadowing
from gateway.serving.spare_threads import SpareThreads
from gateway.serving.store_watch import StoreWatch
from gateway.settings import Settings


def worker_readings(settings: Settings) -> Iterable[Reading]:
    """Yield how many workers there are and should be, and what their models may take."""
    yield Reading("sardonyx_workers", "Workers that serve", 1)
    yield Reading("sardonyx_workers_wanted", "Workers that there should be", settings.workers, Merge.GREATEST)
    budget = "Bytes that the loaded models of all workers may take"
    yield Reading("sardonyx_budget_bytes", budget, settings.worker_budget_bytes)
    margin = "Bytes that a worker may take beyond its start and its sessions before it is replaced"
    yield Reading("sardonyx_margin_bytes", margin, settings.memory_margin_bytes, Merge.LEAST)


def serving_readings(cache: SessionCache[AnySession], predictor: Predictor, guard: MemoryGuard) -> Iterable[Reading]:
    """Yield what the cache and the queue are doing."""
    stats = cache.stats
    yield Reading("sardonyx_cache_hits", "Leases of sessions that were loaded", stats.hits, Merge.COUNT)
    yield Reading("sardonyx_cache_misses", "Leases that had to wait for a load", stats.misses, Merge.COUNT)
    yield Reading("sardonyx_cache_evictions", "Sessions dropped to make room", stats.evictions, Merge.COUNT)
    yield Reading(
        "sardonyx_cache_evicted_age_seconds",
        "How long the sessions had been loaded that were dropped to make room",
        stats.evicted_seconds_total,
        Merge.COUNT,
    )
    yield Reading(
        "sardonyx_cache_renewals",
        "Sessions loaded anew because their models have been prepared",
        stats.renewals,
        Merge.COUNT,
    )
    yield Reading("sardonyx_loads", "Sessions loaded", stats.loads, Merge.COUNT)
    yield Reading("sardonyx_prepared_loads", "Sessions loaded of prepared models", stats.prepared_loads, Merge.COUNT)
    yield Reading("sardonyx_load_failures", "Loads that failed", stats.load_failures, Merge.COUNT)
    yield Reading("sardonyx_load_seconds", "Time spent loading", stats.load_seconds_total, Merge.COUNT)
    yield Reading("sardonyx_resident_sessions", "Loaded sessions", len(cache.resident()))
    yield Reading("sardonyx_resident_bytes", "Measured bytes of loaded sessions", cache.resident_bytes)
    yield Reading("sardonyx_anonymous_bytes", "Anonymous memory of the workers", anonymous_bytes())
    runs = predictor.stats
    yield Reading("sardonyx_runs", "Runs of models", runs.runs, Merge.COUNT)
    yield Reading("sardonyx_shared_runs", "Runs that answered two requests or more", runs.shared_runs, Merge.COUNT)
    yield Reading("sardonyx_shared_requests", "Requests that such runs answered", runs.shared_requests, Merge.COUNT)
    yield Reading(
        "sardonyx_unaccounted_bytes",
        "Most that a worker takes beyond its start and its sessions",
        guard.excess_bytes,
        Merge.GREATEST,
    )
    yield Reading("sardonyx_waiting_requests", "Requests that wait for a place to run in", predictor.waiting_count)


def connection_readings(in_use: float) -> Iterable[Reading]:
    """Yield how many of a worker's connections are in use; NaN for one that takes no more."""
    yield Reading(CONNECTIONS, "HTTP connections of clients that are in use", in_use)


def shadow_readings(shadowing: Shadowing) -> Iterable[Reading]:
    """Yield what has come of the requests that shadows were to get."""
    stats = shadowing.stats
    yield Reading("sardonyx_shadow_compared", "Answers compared with a shadow's", stats.compared, Merge.COUNT)
    yield Reading(
        "sardonyx_shadow_skipped", "Requests for a shadow that no time was left for", stats.skipped, Merge.COUNT
    )
    yield Reading("sardonyx_shadow_failed", "Requests that a shadow could not answer", stats.failed, Merge.COUNT)


def preparing_readings(preparing: Preparing) -> Iterable[Reading]:
    """Yield what has been prepared in the background."""
    yield Reading("sardonyx_preparations", "Models prepared", preparing.done_count, Merge.COUNT)
    yield Reading(
        "sardonyx_preparation_failures", "Models that could not be prepared", preparing.failure_count, Merge.COUNT
    )


def thread_readings(spare: SpareThreads) -> Iterable[Reading]:
    """Yield what is lent to runs that are shorter with several threads."""
    yield Reading("sardonyx_lent_threads", "Threads that sessions have beside those of requests", spare.lent_count)


def feed_readings(feed: ChangeFeed) -> Iterable[Reading]:
    """Yield how far this worker is behind the registry."""
    yield Reading(
        "sardonyx_feed_applied",
        "Sequence number up to which every worker has applied the feed",
        feed.applied,
        Merge.LEAST,
    )
    yield Reading(
        "sardonyx_feed_age_seconds",
        "Longest time since a worker read the feed",
        feed.read_at,
        Merge.OLDEST,
    )
    is_up = float(feed.read_error is None)
    yield Reading("sardonyx_registry_up", "1 if the registry answers every worker", is_up, Merge.LEAST)


def store_readings(store_watch: StoreWatch) -> Iterable[Reading]:
    """Yield whether the store answers."""
    is_up = float(store_watch.error is None)
    yield Reading("sardonyx_store_up", "1 if the artifact store answers every worker", is_up, Merge.LEAST)


def isolation_readings(isolating: Isolating) -> Iterable[Reading]:
    """Yield how the versions fare that run in children."""
    deaths = "Deaths of child processes, each by the model that it ran"
    yield Reading("sardonyx_isolated_deaths", deaths, isolating.death_count, Merge.COUNT)
