import pytest

from registry.errors import Forbidden, InvalidRequest
from registry.roles import Caller, Role, check_pattern


@pytest.mark.parametrize(
    ("role", "included"),
    [
        (Role.PREDICT, [Role.PREDICT]),
        (Role.PUBLISH, [Role.PREDICT, Role.PUBLISH]),
        (Role.ADMIN, [Role.PREDICT, Role.PUBLISH, Role.ADMIN]),
    ],
)
def test_a_role_has_the_rights_of_those_before_it(role: Role, included: list[Role]) -> None:
    assert [other for other in Role if role.includes(other)] == included


@pytest.mark.parametrize(
    ("models", "model", "sees"),
    [
        (None, "fraud-1", True),
        (None, None, True),
        ("fraud-*", "fraud-1", True),
        ("fraud-*", "fraud-", True),
        ("fraud-*", "fraud", False),
        ("fraud-*", "xfraud-1", False),
        ("fraud-*", None, False),
        ("fraud-?", "fraud-1", True),
        ("fraud-?", "fraud-12", False),
        ("a.b", "a.b", True),
        ("a.b", "axb", False),
        ("*", "anything", True),
    ],
)
def test_a_pattern_covers_the_models_that_it_matches(models: str | None, model: str | None, *, sees: bool) -> None:
    assert Caller(name="ada", role=Role.PREDICT, models=models).sees(model) is sees


@pytest.mark.parametrize("models", ["", "Fraud-*", "fraud-[ab]", "fraud/*", "a" * 129, "fraud\n", "fr\u00e4ud"])
def test_a_pattern_that_no_name_could_match_is_refused(models: str) -> None:
    with pytest.raises(InvalidRequest, match="is no pattern of model names"):
        check_pattern(models)


@pytest.mark.parametrize(
    ("models", "role", "model", "words"),
    [
        (None, Role.ADMIN, None, "this needs the role admin; the token 'ada' has publish"),
        (None, Role.ADMIN, "iris", "this needs the role admin for model 'iris'; the token 'ada' has publish"),
        (
            "fraud-*",
            Role.PUBLISH,
            "iris",
            "this needs the role publish for model 'iris'; the token 'ada' has publish for 'fraud-*' only",
        ),
    ],
)
def test_a_refusal_names_the_role_that_is_needed(models: str | None, role: Role, model: str | None, words: str) -> None:
    caller = Caller(name="ada", role=Role.PUBLISH, models=models)
    caller.require(Role.PUBLISH)
    caller.require(Role.PREDICT, "fraud-1")
    with pytest.raises(Forbidden) as refused:
        caller.require(role, model)
    assert refused.value.detail == words
