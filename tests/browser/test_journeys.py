"""Three readers of the console, each from the first page to what they came for, in light and in dark."""

import json
import os
import re
import subprocess
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.browsing import copy_by, find_obstacles, picture_of, reading, running_browser, sign_in
from tests.browser.scene import FLOWERS, Scene, have_traffic, running_scene
from tests.support.gateway_process import GatewayProcess, running_gateway, wait_until

SCHEMES = ("light", "dark")
WRONG_TABLE = "sepal,sepal width,petal,petal width\n5.1,3.5,1.4,0.2\n6.2,2.9,much,1.3\n"
TABLE = WRONG_TABLE.replace("much", "4.3")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture(scope="module")
def scene(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:  # noqa: ARG001 - without one, none is started
    with running_scene(tmp_path_factory.mktemp("scene") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def empty(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:  # noqa: ARG001 - as above
    with running_gateway(tmp_path_factory.mktemp("empty") / "data") as running:
        yield running


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_data_scientist_finds_reads_draws_tries_and_copies(browser: Browser, scene: Scene, scheme: str) -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    with reading(browser, scene.gateway.url, scheme, permissions=permissions) as page:
        sign_in(page, scene.scientist)
        assert find_obstacles(page) == []

        page.keyboard.press("/")
        page.keyboard.type("iris")
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(r"/console\?q=iris$"))
        page.get_by_role("link", name="iris", exact=True).click()
        assert find_obstacles(page) == []
        page.get_by_role("link", name="Version 1", exact=True).click()
        expect(page.locator("#signature")).to_contain_text("float32[batch, 4]")

        draw_the_graph(page, nodes=2)
        try_the_form(page)
        assert find_obstacles(page) == []

        copy_by(page, page.get_by_role("region", name="Call it").get_by_role("button", name="Copy"))
        program = page.evaluate("navigator.clipboard.readText()")
        try_a_picture_and_bytes(page)
    answer = run_program(program, scene)
    assert answer["outputs"].keys() == {"label", "probabilities"}


def draw_the_graph(page: Page, *, nodes: int) -> None:
    """From a version's page, and back."""
    page.get_by_role("link", name="Draw the graph").click()
    graph = page.frame_locator("iframe")
    graph.locator("body.default").wait_for()
    assert graph.locator("g.node").count() >= nodes
    assert find_obstacles(page) == []
    page.go_back()


def try_a_picture_and_bytes(page: Page) -> None:
    """The models of others: one that looks at lines of text, drawn and tried with one, and one that looks at bytes."""
    result, predict = page.locator("#try-result"), page.get_by_role("button", name="Predict")
    open_version(page, "ocr-classifier")
    draw_the_graph(page, nodes=100)
    page.get_by_label("Image", exact=True).check()
    page.get_by_label("1. A picture").set_input_files(picture_of(page, "Sardonyx"))
    expect(page.get_by_text("float32 [1, 3, 48, 192], channels first")).to_be_visible()
    predict.click()
    expect(result).to_contain_text("Status 200")
    expect(result.locator("tbody td")).to_have_count(2)
    assert find_obstacles(page) == []

    open_version(page, "magika")
    page.get_by_role("button", name="Fill in a random input").click()
    predict.click()
    expect(result).to_contain_text("Status 200")
    expect(result.locator(".best li")).to_have_count(5)
    assert find_obstacles(page) == []


def open_version(page: Page, model: str) -> None:
    """From the first page to the first version of a model."""
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Models").click()
    page.get_by_role("link", name=model, exact=True).click()
    page.get_by_role("link", name="Version 1", exact=True).click()


def try_the_form(page: Page) -> None:
    """By a random input, a stored one, a table with a fault and without, and by what the gateway refuses."""
    result, predict = page.locator("#try-result"), page.get_by_role("button", name="Predict")
    page.get_by_label("batch =").fill("2")
    page.get_by_role("button", name="Fill in a random input").click()
    predict.click()
    expect(result).to_contain_text("Status 200")
    expect(result.locator("tbody tr")).to_have_count(4)

    page.get_by_label("Stored example").select_option("setosa")
    expect(page.get_by_label("x in JSON")).to_have_value("[[5.1, 3.5, 1.4, 0.2]]")

    page.get_by_label("CSV").check()
    page.get_by_label("x as rows of cells").fill(WRONG_TABLE)
    predict.click()
    expect(page.locator("#input-0-faults")).to_have_text("row 3, column 3: expected a number, received “much”")
    page.get_by_label("x as rows of cells").fill(TABLE)
    predict.click()
    expect(result).to_contain_text("Status 200")
    expect(page.locator("#input-0-faults")).to_be_hidden()

    page.get_by_label("JSON", exact=True).check()
    page.get_by_label("x in JSON").fill('[[5.1, "much", 1.4, 0.2]]')
    predict.click()
    expect(result).to_contain_text("Status 422")
    expect(page.locator("#input-0-faults")).to_contain_text("at [0][1]: expected ")


def run_program(program: str, scene: Scene) -> dict[str, dict[str, object]]:
    environment = {**os.environ, "SARDONYX_TOKEN": scene.scientist}  # noqa: TID251 - a child gets our environment
    done = subprocess.run(["/bin/sh", "-c", program], env=environment, capture_output=True, text=True, check=True)
    answer: dict[str, dict[str, object]] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_caller_sees_what_is_theirs_and_can_move_nothing(browser: Browser, scene: Scene, scheme: str) -> None:
    with reading(browser, scene.gateway.url, scheme) as page:
        sign_in(page, scene.viewer)
        expect(page.get_by_role("main").get_by_role("rowheader")).to_have_text([re.compile(r"^\s*iris\b")])
        page.get_by_role("link", name="iris", exact=True).click()
        expect(page.get_by_role("heading", name="History")).to_be_visible()
        moving = page.get_by_role("main").get_by_role("link", name=re.compile("Promote|Roll back|Canary|Shadow|Retire"))
        expect(moving).to_have_count(0)
        assert find_obstacles(page) == []

        refused = page.goto("/console/models/iris/plan?version=2")
        assert refused is not None
        assert refused.status == 403
        expect(page.get_by_role("alert")).to_contain_text("forbidden")
        assert find_obstacles(page) == []
        hidden = page.goto("/console/models/magika")
        assert hidden is not None
        assert hidden.status == 403

        page.goto("/console/models/iris/versions/1")
        page.get_by_role("button", name="Predict").click()
        expect(page.locator("#try-result")).to_contain_text("Status 200")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_admin_sees_trouble_compares_promotes_undoes_and_rolls_back(
    browser: Browser, scene: Scene, scheme: str
) -> None:
    with scene.client() as client, reading(browser, scene.gateway.url, scheme) as page:
        have_traffic(client)
        sign_in(page, scene.admin)
        page.get_by_role("link", name="iris", exact=True).click()

        promote(page, 2, reason="it errs less")
        assert find_obstacles(page) == []
        assert live(client) == 2
        page.locator("#undo").click()
        expect(page.locator("#flash")).to_contain_text("points to version 1")
        assert live(client) == 1

        promote(page, 2, reason="once more")
        page.get_by_role("link", name="Roll back", exact=True).click()
        expect(page.get_by_role("main")).to_contain_text("What callers notice")
        assert find_obstacles(page) == []
        page.locator("#reason").fill("it errs more")
        page.get_by_role("button", name="Roll back").click()
        expect(page.locator("#flash")).to_contain_text("Rolled back")
        assert (live(client), history(client)[-1]["reason"]) == (1, "it errs more")

        try_a_canary(page)
        assert client.post("/models/iris/predict", json=FLOWERS).json()["version"] == 1
        compare_with_a_shadow(page, client)
        look_at_the_rest_and_leave(page)


def try_a_canary(page: Page) -> None:
    """Set one, and drop it."""
    page.get_by_role("link", name="Canary").click()
    assert find_obstacles(page) == []
    page.get_by_label("Version").select_option("2")
    page.get_by_label("Of a hundred requests").fill("5")
    page.get_by_role("button", name="Show what would change").click()
    page.locator("#confirm").click()
    expect(page.locator("#alias-production")).to_contain_text("version 2 · 5 %")
    page.get_by_role("link", name="Drop the canary").click()
    page.locator("#confirm").click()
    expect(page.locator("#alias-production")).not_to_contain_text("5 %")


def compare_with_a_shadow(page: Page, client: httpx.Client) -> None:
    """Set one, see what it shows without reading the page again, and drop it."""
    page.get_by_role("link", name="Shadow", exact=True).click()
    page.get_by_label("Version").select_option("2")
    page.get_by_label("Of a hundred requests").fill("100")
    page.get_by_role("button", name="Show what would change").click()
    page.locator("#confirm").click()
    expect(page.locator("#alias-production")).to_contain_text("version 2 · 100 %")

    def is_compared() -> bool:
        client.post("/models/iris/predict", json=FLOWERS).raise_for_status()
        return client.get("/registry/models/iris/aliases/production/shadow").json()["report"]["compared"] > 0

    wait_until(is_compared)
    heads = page.locator("#shadow-production tbody th")
    expect(heads).to_have_text(["label", "probabilities"])
    assert find_obstacles(page) == []
    page.get_by_role("link", name="Drop the shadow").click()
    page.locator("#confirm").click()
    expect(page.locator("#alias-production")).not_to_contain_text("100 %")
    expect(page.get_by_role("heading", name="What the last shadow of production has shown")).to_be_visible()


def look_at_the_rest_and_leave(page: Page) -> None:
    """The pages that no move leads to, and the one that everybody comes to first."""
    for place in ("/console/workers", "/console/events", "/console/models/iris/choose"):
        page.goto(place)
        page.get_by_role("heading", level=1).wait_for()
        assert (place, find_obstacles(page)) == (place, [])
    page.goto("/console/models/iris")
    page.locator("#version-2").get_by_role("link", name="Retire").click()
    expect(page.get_by_role("main")).to_contain_text("There is no way back")
    assert find_obstacles(page) == []
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Access token").wait_for()
    assert find_obstacles(page) == []


def test_a_models_page_shows_what_others_do_and_leaves_the_keyboard_where_it_is(browser: Browser, scene: Scene) -> None:
    alias = "/registry/models/silero-vad/aliases/production"
    with scene.client() as client, reading(browser, scene.gateway.url, "light") as page:
        sign_in(page, scene.admin)
        page.get_by_role("link", name="silero-vad", exact=True).click()
        link = page.locator("#version-1").get_by_role("link", name="Version 1")
        link.focus()
        client.put(f"{alias}-two", json={"version": 1, "reason": "another door"}).raise_for_status()
        expect(page.locator("#alias-production-two")).to_contain_text("version 1")
        expect(page.locator("#history")).to_contain_text("another door")
        expect(link).to_be_focused()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_empty_gateway_is_fit_for_everybody(browser: Browser, empty: GatewayProcess, scheme: str) -> None:
    with reading(browser, empty.url, scheme) as page:
        page.goto("/console")
        expect(page.get_by_role("heading", name="No model is registered yet")).to_be_visible()
        assert find_obstacles(page) == []


def test_where_no_answer_comes_nobody_is_left_to_believe_that_nothing_was_done(browser: Browser, scene: Scene) -> None:
    with browser.new_context(base_url=scene.gateway.url) as context:
        page = context.new_page()
        sign_in(page, scene.admin)
        page.goto("/console/models/iris/plan?version=2")
        page.route("**/plan", lambda route: route.abort())
        page.locator("#confirm").click()
        expect(page.get_by_role("alert")).to_contain_text("look at the history before you try again")
        assert find_obstacles(page) == []
        assert page.evaluate("htmx.config.defaultTimeout") == 0


def promote(page: Page, version: int, *, reason: str) -> None:
    """From the model's page: the plan first, then the move, then the page again, with the undo."""
    page.locator(f"#version-{version}").get_by_role("link", name="Promote").click()
    expect(page.get_by_role("main")).to_contain_text("What callers notice")
    assert find_obstacles(page) == []
    page.locator("#reason").fill(reason)
    page.locator("#confirm").click()
    expect(page.locator("#flash")).to_contain_text(f"points to version {version}")


def live(client: httpx.Client) -> int:
    return int(client.get("/registry/models/iris/aliases/production").json()["version"])


def history(client: httpx.Client) -> list[dict[str, str]]:
    return list(client.get("/registry/models/iris/history").json()["items"])
