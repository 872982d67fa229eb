"""What two looks at the metrics say of the time between them."""

from math import inf

from gateway.cli.scrapes import Scrape, Traffic, growth, read_scrape, traffic
from gateway.metrics import Metrics


def scraped(metrics: Metrics) -> Scrape:
    return read_scrape(metrics.render().decode())


def test_what_a_gateway_writes_is_read_back() -> None:
    metrics = Metrics()
    counts = metrics.of_version('a"b\\c\n', 3)
    before = scraped(metrics)
    for _ in range(99):
        counts.add("ok", 0.0007)
    counts.add("model_execution_failed", 0.2)

    (found,) = traffic(before, scraped(metrics))

    assert (found.model, found.version, found.answers) == ('a"b\\c\n', "3", 100)
    assert found.failed == {"model_execution_failed": 1}
    assert found.p50_seconds is not None
    assert 0.0005 < found.p50_seconds < 0.001
    assert found.p99_seconds == 0.001


def test_only_what_has_come_since_counts_and_the_busiest_is_first() -> None:
    metrics = Metrics()
    metrics.of_version("idle", 1).add("ok", 0.01, count=1000)
    metrics.of_version("slow", 1).add("ok", 0.01, count=5)
    before = scraped(metrics)
    metrics.of_version("slow", 1).add("ok", 0.01)
    metrics.of_version("fast", 2).add("ok", 0.01, count=2)

    assert [(one.model, one.answers) for one in traffic(before, scraped(metrics))] == [("fast", 2), ("slow", 1)]


def test_a_gateway_that_was_started_anew_counts_from_zero() -> None:
    one, other = Metrics(), Metrics()
    one.of_version("m", 1).add("ok", 0.01, count=100)
    other.of_version("m", 1).add("ok", 0.01, count=3)

    assert [found.answers for found in traffic(scraped(one), scraped(other))] == [3]


def test_what_lies_beyond_the_last_bucket_is_as_long_as_that() -> None:
    buckets = {("m", "1"): {1.0: 1.0, inf: 10.0}}
    scrape = Scrape({}, {("m", "1"): {"ok": 10.0}}, buckets)

    assert traffic(None, scrape) == [
        Traffic(model="m", version="1", answers=10, failed={}, p50_seconds=1.0, p99_seconds=1.0)
    ]


def test_what_is_no_metric_of_ours_is_passed_over() -> None:
    text = 'x{a="1"} 2\nplain 3\nbroken\nlate 4 1700000000\nwords nothing\n# HELP a b\n'

    found = read_scrape(text)

    assert (found.totals, found.answers, found.buckets) == ({"plain": 3.0, "late": 4.0}, {}, {})
    assert (growth(None, found, "plain"), growth(found, found, "plain"), growth(None, found, "absent")) == (3, 0, 0)


def test_labels_that_never_end_are_passed_over_as_fast_as_they_are_read() -> None:
    text = f'x{{{"a" * 1_000_000}}} 1\nx{{a="{"b" * 1_000_000}}} 1\nplain 3\n'

    assert read_scrape(text) == Scrape({"plain": 3.0}, {}, {})
