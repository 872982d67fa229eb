"""The console's addresses: what a link to a page promises is on it."""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.console import MARK, Console, running_console
from tests.support.tokens import make_token


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with running_console(tmp_path_factory.mktemp("console") / "data") as running:
        yield running


@pytest.fixture
def admin(console: Console) -> Iterator[httpx.Client]:
    with console.browser(console.admin_token) as client:
        yield client


def test_a_page_to_choose_from_says_so_where_what_was_asked_for_is_none_of_it(
    console: Console, admin: httpx.Client
) -> None:
    console.register("chosen", "float32", "float64")
    admin.put("/registry/models/chosen/aliases/blue", json={"version": 1}, headers=MARK)
    without = admin.get("/console/models/chosen/versions/2").text
    admin.put("/registry/models/chosen/aliases/production", json={"version": 1}, headers=MARK)
    shown = admin.get("/console/models/chosen/versions/2").text
    asked = [admin.get(f"/console/models/chosen/choose?kind=canary&number={number}").text for number in ("2", "9")]
    assert ("Try as a canary" in without, "Try as a canary" in shown) == (False, True)
    assert ["cannot be chosen" in page for page in asked] == [False, True]
    assert '<option value="2" selected>' in asked[0]


def test_a_token_that_sees_no_model_is_told_why_and_an_old_move_has_an_address(
    console: Console, admin: httpx.Client
) -> None:
    console.register("moves", "float32")
    admin.put("/registry/models/moves/aliases/production", json={"version": 1}, headers=MARK)
    move = admin.get("/registry/models/moves/history", headers=MARK).json()["items"][0]["id"]
    address = f"/console/models/moves?before={move + 1}#move-{move}"
    made = make_token(console.gateway.data_dir, "predict", models="nosuch-*")
    with console.browser(made.text) as client:
        home = client.get("/console").text
    assert ("none is named like nosuch-*" in home, "No model is registered yet" in home) == (True, False)
    assert address in admin.get("/console/models/moves").text
    assert f'id="move-{move}"' in admin.get(address).text
