from gateway.serving.absences import Absences
from gateway.serving.load_failures import LoadFailures
from registry.errors import LoadFailed, ModelNotFound, VersionNotFound
from registry.names import Reference


def test_a_flood_of_unknown_models_does_not_grow_the_table() -> None:
    absences = Absences(lambda: 0.0, max_models=2)
    references = [Reference(name) for name in ("a", "b", "c")]
    for reference in references:
        absences.remember(reference, ModelNotFound("no"))
    assert [absences.find(reference) is not None for reference in references] == [False, True, True]


def test_a_flood_of_unknown_versions_does_not_grow_a_models_table() -> None:
    absences = Absences(lambda: 0.0, max_per_model=2)
    references = [Reference("a", number) for number in (1, 2, 3)]
    for reference in references:
        absences.remember(reference, VersionNotFound("no"))
    assert [absences.find(reference) is not None for reference in references] == [False, True, True]
    assert absences.find(Reference("a")) is None


def test_load_failures_are_bounded_and_the_oldest_is_forgotten_first() -> None:
    failures = LoadFailures(lambda: 0.0, max_remembered=2)
    for key in ("a", "b", "c"):
        failures.remember(key, LoadFailed("no"))
    assert [failures.find(key) is not None for key in ("a", "b", "c")] == [False, True, True]
