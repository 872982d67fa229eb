"""The text of a scrape, as Prometheus's own parser reads it."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gateway.exposition import HistogramLines, heading, label_text, number, sample

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], include_characters='\n\\"{},=%\0'))
LABELS = st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]*", fullmatch=True).filter(lambda name: name != "le"), ANY_TEXT)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(LABELS, FINITE | st.sampled_from([inf, -inf]))
def test_a_sample_is_read_as_it_was_meant(labels: dict[str, str], value: float) -> None:
    text = heading("words_total", "counter", "What it is") + sample("words_total", label_text(labels), value)
    (family,) = text_string_to_metric_families(text)
    assert (family.name, family.type, family.documentation) == ("words", "counter", "What it is")
    assert [(read.name, read.labels, read.value) for read in family.samples] == [("words_total", labels, value)]


@given(LABELS, st.lists(st.integers(0, 1000).map(float), min_size=4, max_size=4), FINITE)
def test_a_histogram_is_read_as_it_was_meant(labels: dict[str, str], counts: list[float], seconds: float) -> None:
    text = heading("seconds", "histogram", "How long") + HistogramLines("seconds", (0.5, 1.0, 2.5)).of(
        label_text(labels), counts, seconds
    )
    (family,) = text_string_to_metric_families(text)
    totals = [sum(counts[: end + 1]) for end in range(4)]
    assert [(read.name, read.labels, read.value) for read in family.samples] == [
        *(
            ("seconds_bucket", {**labels, "le": limit}, total)
            for limit, total in zip(("0.5", "1.0", "2.5", "+Inf"), totals, strict=True)
        ),
        ("seconds_count", labels, totals[-1]),
        ("seconds_sum", labels, seconds),
    ]


def test_numbers_that_are_not_finite_have_their_names_in_go() -> None:
    assert [number(value) for value in (inf, -inf, float("nan"), 2)] == ["+Inf", "-Inf", "NaN", "2.0"]
