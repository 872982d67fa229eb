from collections import Counter

import pytest

from bench.replicas_constants import Constants
from bench.replicas_hits import sequence_of
from bench.replicas_proxy import round_robin
from bench.servers import ServerFailedError

MODELS = [f"model-{number}" for number in range(10)]


def test_a_seed_gives_the_same_sequence_again() -> None:
    assert sequence_of(MODELS, seed=7, count=500) == sequence_of(MODELS, seed=7, count=500)


def test_the_most_popular_model_is_asked_for_twice_as_often_as_the_second() -> None:
    counts = Counter(sequence_of(MODELS, seed=7, count=50_000)).most_common(2)
    assert 1.9 < counts[0][1] / counts[1][1] < 2.1


def test_round_robin_is_the_same_configuration_without_the_hash() -> None:
    of_the_hash = "    balance hash var(txn.key)\n    hash-type consistent\n    hash-balance-factor 150\n"
    text = f"backend b\n{of_the_hash}    server a\n"
    assert round_robin(text) == "backend b\n    balance roundrobin\n    server a\n"


def test_a_configuration_that_hashes_nothing_is_no_comparison() -> None:
    with pytest.raises(ServerFailedError):
        round_robin("backend b\n    balance roundrobin\n")


def test_no_two_versions_answer_the_same() -> None:
    constants = Constants(version_counts={"a": 3, "b": 2})
    answers = [
        constants.answer(name, number)
        for name, count in constants.version_counts.items()
        for number in range(1, count + 1)
    ]
    assert answers == [1001, 1002, 1003, 2001, 2002]
