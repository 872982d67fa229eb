"""Whose business a request is, and what each role refuses."""

import pytest

from gateway.web.planes import Plane, check_plane, plane_of
from registry.errors import ServedElsewhere

OF_GATEWAYS = (
    ("POST", "/v3/models/iris/predict"),
    ("POST", "/models/iris@staging/validate"),
    ("POST", "/v2/models/iris/infer"),
    ("GET", "/v2"),
    ("GET", "/v2/health/ready"),
    ("POST", "/v2/repository/index"),
    ("POST", "/v2/repository/models/iris/load"),
    ("POST", "/v2/repository/models/iris/unload"),
    ("POST", "/v1/models/iris:predict"),
    ("GET", "/v1/models/iris/metadata"),
    ("GET", "/registry/models/iris/versions/3/inputs"),
)
OF_A_REGISTRY = (
    ("POST", "/registry/models/iris/versions"),
    ("PATCH", "/registry/models/iris"),
    ("PUT", "/registry/models/iris/aliases/production"),
    ("GET", "/registry/models/iris/history"),
    ("GET", "/registry/models/iris/versions/3/artifact"),
    ("PUT", "/registry/models/iris/versions/3/examples"),
    ("GET", "/registry/events"),
    ("GET", "/registry/tokens"),
    ("GET", "/console"),
    ("POST", "/console/sign-in"),
)
OF_BOTH = (
    ("GET", "/health/ready"),
    ("GET", "/metrics"),
    ("GET", "/docs/problems"),
    ("GET", "/registry/models"),
    ("GET", "/registry/models/iris"),
    ("GET", "/registry/models/iris/aliases/production"),
    ("GET", "/registry/models/iris/versions/3"),
    ("HEAD", "/registry/models/iris/versions/3/openapi.json"),
    ("GET", "/registry/models/iris/versions/3/snippets"),
    ("GET", "/nothing"),
)


@pytest.mark.parametrize(("method", "path"), OF_GATEWAYS)
def test_predictions_and_foreign_protocols_are_the_business_of_gateways(method: str, path: str) -> None:
    assert plane_of(method, path) is Plane.DATA


@pytest.mark.parametrize(("method", "path"), OF_A_REGISTRY)
def test_changes_and_history_are_the_business_of_a_registry(method: str, path: str) -> None:
    assert plane_of(method, path) is Plane.CONTROL


@pytest.mark.parametrize(("method", "path"), OF_BOTH)
def test_health_and_what_callers_read_are_answered_by_both(method: str, path: str) -> None:
    assert plane_of(method, path) is Plane.BOTH


def test_a_gateway_says_where_the_registry_is_served() -> None:
    with pytest.raises(ServedElsewhere, match="'registry' or 'all'"):
        check_plane("gateway", "GET", "/console")


def test_a_registry_says_where_predictions_are_served() -> None:
    with pytest.raises(ServedElsewhere, match="'gateway' or 'all'"):
        check_plane("registry", "POST", "/models/iris/predict")


@pytest.mark.parametrize(("method", "path"), OF_GATEWAYS + OF_A_REGISTRY + OF_BOTH)
def test_who_serves_everything_refuses_nothing(method: str, path: str) -> None:
    check_plane("all", method, path)
