from gateway.serving.awake_clock import AwakeClock


def test_time_passes_with_each_look_but_for_what_nobody_looked_at() -> None:
    clock = AwakeClock(100.0, most_seconds=0.25)
    assert [clock.look(now) for now in (100.0, 100.125, 100.25, 109.0, 109.25)] == [0.0, 0.125, 0.25, 0.5, 0.75]
