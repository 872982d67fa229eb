"""What a gateway's log becomes: requests with times, versions and keys, and counts of what was left out."""

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest

from gateway.planner.request_log import BadLogError, read_log

MINUTE = "2026-11-29T08:00:%02d.000000Z"


def line(model: str = "iris", version: int = 3, second: int = 0, **changes: Any) -> bytes:
    entry = {
        "event": "request",
        "method": "POST",
        "path": f"/v{version}/models/{model}/predict",
        "status": 200,
        "code": "ok",
        "seconds": 0.002,
        "model": model,
        "version": version,
        "timestamp": MINUTE % second,
    }
    return json.dumps(entry | changes).encode() + b"\n"


def test_requests_have_the_key_of_their_path_and_the_version_that_answered() -> None:
    load, _ = read_log(
        [
            line(),
            line(second=1, path="/models/iris/predict"),
            line(second=2, path="/v2/models/iris/versions/3/infer"),
            line(second=3, path="/inference.GRPCInferenceService/ModelInfer"),
        ]
    )
    assert (load.keys, load.versions) == (("iris/3", "iris/production"), (("iris", 3),))
    assert load.key_indexes.tolist() == [0, 1, 0, 0]
    assert load.version_indexes.tolist() == [0, 0, 0, 0]


def test_only_what_came_to_a_session_is_replayed() -> None:
    _, reading = read_log(
        [
            line(),
            line(code="invalid_shape"),
            line(path="/v3/models/iris/validate"),
            line(method="GET"),
            line(model=None, version=None),  # type: ignore[arg-type]
            b'{"event": "started", "timestamp": "2026-11-29T08:00:00Z"}\n',
            b"\n",
        ]
    )
    assert reading.as_json() == {"lines": 7, "passed_over": 6, "hit_rate": None, "faults": {}}


def test_bad_lines_are_counted_by_their_fault_with_the_first_of_each() -> None:
    _, reading = read_log(
        [
            line(),
            b"Traceback (most recent call last):\n",
            b'{"event": "request", "model"\n',
            line(path=None),
            line(share=0),
            line(seconds="long"),
            line(seconds=1e300),
            b'{"event": "prepared", "model": "iris", "version": 3, "memory_bytes": 10000000000000000000}',
        ]
    )
    assert reading.as_json()["faults"] == {
        "no JSON": {"lines": 2, "first_line": 2},
        "a request without model, version and path": {"lines": 1, "first_line": 4},
        "a share that is none": {"lines": 1, "first_line": 5},
        "a request without seconds": {"lines": 2, "first_line": 6},
        "a prepared model that takes what cannot be": {"lines": 1, "first_line": 8},
    }


def test_a_log_of_bad_lines_alone_is_refused_with_the_fault_that_most_of_them_have() -> None:
    with pytest.raises(BadLogError, match=r"none of its 2 lines is a prediction: 2 are at fault \(no JSON\)"):
        read_log([b"nothing\n", b"more\n"])


def test_times_come_from_what_a_collector_wrote_before_the_line_where_it_has_none() -> None:
    lines = [(b"2026-11-29T08:00:0%d.5Z stderr F " % second) + line(timestamp=None) for second in (1, 4)]
    load, _ = read_log(lines)
    assert load.times.tolist() == [0.0, 3.0]


def test_lines_in_any_order_are_replayed_in_the_order_of_their_times() -> None:
    load, _ = read_log([line("b", second=9), line("a", second=1)])
    assert [load.versions[index][0] for index in load.version_indexes] == ["a", "b"]


def test_a_bundle_of_lines_is_spread_over_the_time_in_which_it_was_collected() -> None:
    load, _ = read_log([line(), *[line(second=5)] * 4])
    assert np.allclose(load.times, [0, 4.85, 4.9, 4.95, 5.0])  # each took as long


def test_a_log_without_times_is_spread_evenly_at_the_rate_that_is_given() -> None:
    load, _ = read_log([line(timestamp=None)] * 3, rate=0.5)
    assert load.times.tolist() == [0.0, 2.0, 4.0]


@pytest.mark.parametrize("timestamp", [None, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "yesterday"])
def test_lines_before_the_first_time_of_a_log_have_that_time(timestamp: str | None) -> None:
    load, _ = read_log([line(timestamp=timestamp), b"  " + line(timestamp=timestamp), line(), line(second=9)])
    assert load.seconds == pytest.approx(9 + 0.2 * 2 / 3)  # three are of one bundle


def test_a_log_without_times_and_rate_is_refused() -> None:
    with pytest.raises(BadLogError, match="no times"):
        read_log([line(timestamp=None)])


def test_what_versions_cost_is_guessed_from_how_long_their_requests_took() -> None:
    _, reading = read_log([line(seconds=seconds) for seconds in (0.25, 0.002, 0.001, 0.002, 0.002)])
    assert reading.guessed == {("iris", 3): {"run_seconds": 0.002, "load_seconds": 0.248}}


def test_loads_for_which_requests_have_waited_are_known_and_so_are_the_hits() -> None:
    waited = [line(seconds=0.3, load_seconds=0.25), line(second=1, seconds=0.5, load_seconds=0.45)]
    _, reading = read_log([*waited, line(second=2), line(second=3)])
    assert (reading.loads, reading.hit_rate) == ({("iris", 3): [0.25, 0.45]}, 0.5)
    assert reading.guessed == {("iris", 3): {"run_seconds": 0.002}}


def test_a_request_came_as_long_before_its_line_as_it_took() -> None:
    load, _ = read_log([line("quick", second=10), line("slow", second=11, seconds=5.0)])
    assert [load.versions[index][0] for index in load.version_indexes] == ["slow", "quick"]
    assert load.times.tolist() == pytest.approx([0.0, 3.998])


def test_what_prepared_models_take_is_told_by_the_log() -> None:
    prepared = b'{"event": "prepared", "model": "iris", "version": 3, "memory_bytes": 70000}\n'
    _, reading = read_log([prepared, line()])
    assert reading.prepared == {("iris", 3): {"memory_bytes": 70000}}


def test_a_line_that_was_kept_by_chance_stands_for_those_that_were_not() -> None:
    lines = [line("often", second=second, share=0.05) for second in range(0, 60, 2)]
    load, reading = read_log([*lines, line("slow", second=30, share=1.0, seconds=1.5)])
    names = Counter(load.versions[index][0] for index in load.version_indexes)
    assert (names, reading.has_shares) == ({"often": 600, "slow": 1}, True)
    by_third = np.histogram(load.times, 3)[0]
    assert by_third.min() > 150
    assert (np.diff(load.times) >= 0).all()


@pytest.mark.parametrize("share", [1e-9, 1e-300, 5e-324])
def test_shares_of_which_there_would_be_too_many_requests_are_refused(share: float) -> None:
    with pytest.raises(BadLogError, match="at most are 200,000,000"):
        read_log([line(), line(second=1, share=share)])


def test_what_was_seen_once_has_its_companions_anywhere_in_the_log() -> None:
    load, _ = read_log([line("a"), line("once", second=1, share=0.01), line("a", second=50)])
    times = load.times[load.version_indexes == 1]
    assert (len(times), times.min() < 10, times.max() > 40) == (100, True, True)
