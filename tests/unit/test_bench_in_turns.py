"""What two that are asked in turns come to: medians of the rounds, rate by rate."""

from bench.in_turns import CLOSED, Compared, Sample, compare


def sample(place: int, rate: int, us: float, answers: float = 100.0) -> Sample:
    return Sample(
        place=place, rate=rate, p50_us=us, p99_us=us * 10, answered_per_second=answers, foreign_share=0.0, failures=0
    )


def test_each_rate_has_the_medians_of_its_rounds_and_the_ratios_of_the_outermost() -> None:
    without = [sample(0, 250, us) for us in (1, 3, 2)]
    with_it = [sample(1, 250, us, answers=90) for us in (2, 3, 8)]

    (compared,) = compare([*without, *with_it])

    assert compared == Compared(
        rate=250, p50_us=(2, 3), p99_us=(20, 30), answered_per_second=(100, 90), apart=(1.0, 4.0)
    )
    assert (compared.ratio, compared.share) == (1.5, 0.9)


def test_the_closed_loop_comes_last() -> None:
    samples = [sample(place, rate, 1) for rate in (CLOSED, 4000, 250) for place in (0, 1)]

    assert [compared.rate for compared in compare(samples)] == [250, 4000, CLOSED]
