import pytest

from gateway.client.errors import UnusableArgument
from gateway.client.references import Target, model_path, parse_target


@pytest.mark.parametrize(
    ("text", "target", "path"),
    [
        ("iris", Target("iris"), "/models/iris/predict"),
        ("iris@staging", Target("iris", alias="staging"), "/models/iris@staging/predict"),
        ("iris:3", Target("iris", version=3), "/v3/models/iris/predict"),
        ("a/b?c", Target("a/b?c"), "/models/a%2Fb%3Fc/predict"),
    ],
    ids=["name", "alias", "version", "a name that no model has"],
)
def test_a_reference_names_one_route(text: str, target: Target, path: str) -> None:
    assert (parse_target(text), parse_target(text).predict_path) == (target, path)
    assert str(target) == text


@pytest.mark.parametrize("text", ["", "@a", "a@", ":3", "a:", "a:b", "a:-1", "a:³", "a:1.0"])
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(UnusableArgument):
        parse_target(text)


def test_every_part_of_a_path_is_quoted() -> None:
    assert model_path("a/b", "versions", 3) == "/registry/models/a%2Fb/versions/3"
