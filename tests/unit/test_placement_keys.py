"""The placement key: the same in each dialect, and none where no model is named."""

import pytest

from gateway.placement.keys import key_of, key_of_path

PATHS_OF_A_VERSION = (
    "/v3/models/iris/predict",
    "/v3/models/iris/validate",
    "/v2/models/iris/versions/3/infer",
    "/v2/models/iris/versions/3/ready",
    "/v1/models/iris/versions/3:predict",
    "/v1/models/iris/versions/3/metadata",
)
PATHS_OF_AN_ALIAS = (
    "/models/iris@next-one/predict",
    "/models/iris%40next-one/predict",
    "/v2/models/iris/versions/next-one/infer",
    "/v1/models/iris/labels/next-one:predict",
)
PATHS_OF_WHAT_IS_PROMOTED = (
    "/models/iris/predict",
    "/models/iris@production/predict",
    "/v2/models/iris/infer",
    "/v1/models/iris:predict",
    "/v1/models/iris%3Apredict",
    "/v1/models/iris/versions/0:predict",
    "/v1/models/iris/metadata",
)
PATHS_WITHOUT_A_KEY = (
    "/",
    "/v2",
    "/v2/models",
    "/v2/models/stats",
    "/models//predict",
    "/v1/models",
    "/registry/models/iris",
    "/registry/models/iris/predict",
    "/health/ready",
    "/console/models/iris",
    "/inference.GRPCInferenceService/ModelInfer",
    "/v3/models/iris/predict/more",
)


@pytest.mark.parametrize("path", PATHS_OF_A_VERSION)
def test_a_version_has_one_key_in_every_dialect(path: str) -> None:
    assert key_of_path(path) == key_of("iris", "3") == "iris/3"


@pytest.mark.parametrize("path", PATHS_OF_AN_ALIAS)
def test_an_alias_has_one_key_in_every_dialect(path: str) -> None:
    assert key_of_path(path) == key_of("iris", "next-one") == "iris/next-one"


@pytest.mark.parametrize("path", PATHS_OF_WHAT_IS_PROMOTED)
def test_what_is_promoted_has_one_key_however_it_is_asked_for(path: str) -> None:
    assert key_of_path(path) == key_of("iris", "") == "iris/production"


@pytest.mark.parametrize("path", PATHS_WITHOUT_A_KEY)
def test_what_names_no_model_has_no_key(path: str) -> None:
    assert key_of_path(path) is None


def test_version_two_is_not_taken_for_the_open_inference_protocol() -> None:
    assert key_of_path("/v2/models/iris/predict") == "iris/2"
