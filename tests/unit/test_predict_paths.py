import pytest

from gateway.web.paths import Dialect, PredictPaths, Target, Verb
from registry.errors import InvalidName, VersionNotFound
from registry.names import Reference


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/v3/models/iris/predict", Target(Reference("iris", version=3), Verb.PREDICT)),
        ("/models/iris/predict", Target(Reference("iris"), Verb.PREDICT)),
        ("/models/iris@staging/predict", Target(Reference("iris", alias="staging"), Verb.PREDICT)),
        ("/v999999999/models/a.b-c_d/validate", Target(Reference("a.b-c_d", version=999999999), Verb.VALIDATE)),
        ("/v2/models/iris/infer", Target(Reference("iris"), dialect=Dialect.OPEN_INFERENCE)),
        ("/v2/models/iris/versions/3/infer", Target(Reference("iris", version=3), dialect=Dialect.OPEN_INFERENCE)),
        (
            "/v2/models/iris/versions/staging/infer",
            Target(Reference("iris", alias="staging"), dialect=Dialect.OPEN_INFERENCE),
        ),
        ("/v1/models/iris:predict", Target(Reference("iris"), dialect=Dialect.TENSORFLOW)),
        ("/v1/models/iris/versions/0:predict", Target(Reference("iris"), dialect=Dialect.TENSORFLOW)),
        ("/v1/models/iris/versions/3:predict", Target(Reference("iris", version=3), dialect=Dialect.TENSORFLOW)),
        (
            "/v1/models/iris/labels/staging:predict",
            Target(Reference("iris", alias="staging"), dialect=Dialect.TENSORFLOW),
        ),
    ],
)
def test_predict_paths_are_understood(path: str, target: Target) -> None:
    paths = PredictPaths()
    assert [paths.read(path), paths.read(path)] == [target, target]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/models/iris",
        "/models/iris/predict/",
        "/v1/models/iris:classify",
        "/v2/models/iris",
        "/v2/models/iris/infer/",
        "/models/../x/predict",
        "/v1/models/a/b/predict",
        "/registry/models",
    ],
)
def test_other_paths_are_left_alone(path: str) -> None:
    assert PredictPaths().read(path) is None


@pytest.mark.parametrize(
    "path",
    [
        "/models/Iris/predict",
        "/models//predict",
        "/models/a..b/predict",
        "/models/%2e/predict",
        "/models/a\0b/predict",
        "/models/a\nb/predict",
        f"/models/{'x' * 300}/predict",
        "/models/iris@/predict",
        "/models/iris@Prod/predict",
        "/v1/models/iris@staging/predict",
    ],
)
def test_malformed_names_are_refused(path: str) -> None:
    with pytest.raises(InvalidName):
        PredictPaths().read(path)


@pytest.mark.parametrize("number", ["", "0", "01", "-1", "1e3", "1.0", "100000000000", " 1", "१"])
def test_what_is_no_version_is_not_found(number: str) -> None:
    with pytest.raises(VersionNotFound):
        PredictPaths().read(f"/v{number}/models/iris/predict")


def test_a_path_is_known_by_its_url_once_it_has_led_somewhere() -> None:
    paths = PredictPaths()
    target = paths.read("/v1/models/iris/predict")
    assert (target is None, paths.known(b"/v1/models/iris/predict")) == (False, None)
    assert target is not None
    paths.remember("/v1/models/iris/predict", target)
    assert paths.known(b"/v1/models/iris/predict") == ("/v1/models/iris/predict", target)


def test_the_paths_longest_known_are_forgotten_first() -> None:
    paths = PredictPaths(limit=2)
    for number in (1, 2, 3):
        path = f"/v{number}/models/iris/predict"
        target = paths.read(path)
        assert target is not None
        paths.remember(path, target)
    known = [paths.known(f"/v{number}/models/iris/predict".encode()) is not None for number in (1, 2, 3)]
    assert known == [False, True, True]
