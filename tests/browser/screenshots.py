"""``make screenshots``: pictures of the console for the documentation, taken of a live gateway with real models."""

import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from playwright.sync_api import Page

from tests.browser.browsing import reading, running_browser, sign_in
from tests.browser.scene import Scene, have_traffic, running_scene

FOLDER = Path(__file__).parents[2] / "docs" / "console"
MOST_BYTES = 150_000


def models(page: Page) -> None:
    page.goto("/console")


def model(page: Page) -> None:
    page.goto("/console/models/iris")


def plan(page: Page) -> None:
    page.goto("/console/models/iris/plan?version=2")


def graph(page: Page) -> None:
    page.goto("/console/models/ocr-classifier/versions/1/graph")
    drawn = page.frame_locator("iframe")
    drawn.locator("body.default").wait_for()
    for _ in range(7):
        drawn.locator("#zoom-out-button").click()


def trying(page: Page) -> None:
    page.goto("/console/models/magika/versions/1")
    page.get_by_role("button", name="Fill in a random input").click()
    page.get_by_role("button", name="Predict").click()
    page.locator("#try-result .best").wait_for()
    page.locator("#try").evaluate("element => element.scrollIntoView()")


SHOTS: dict[str, tuple[str, int, Callable[[Page], None]]] = {
    "models": ("light", 440, models),
    "model": ("dark", 900, model),
    "plan": ("light", 1080, plan),
    "try-it": ("light", 1120, trying),
    "graph": ("dark", 860, graph),
}
"""What is taken, by the file's name: in which colours, how high, and how one gets there."""


def take(scene: Scene) -> None:
    """Take every picture."""
    with scene.client() as client:
        have_moves(client)
        have_traffic(client)
    with running_browser() as browser:
        for name, (scheme, height, show) in SHOTS.items():
            with reading(browser, scene.gateway.url, scheme, viewport={"width": 1280, "height": height}) as page:
                sign_in(page, scene.admin)
                show(page)
                page.mouse.move(0, 0)
                path = FOLDER / f"{name}.png"
                page.screenshot(path=path, animations="disabled")
                if path.stat().st_size > MOST_BYTES:
                    sys.exit(f"{path} has {path.stat().st_size} bytes, more than {MOST_BYTES}")


def have_moves(client: httpx.Client) -> None:
    """Move the alias to and fro, so that there is a history."""
    alias = "/registry/models/iris/aliases/production"
    client.put(alias, json={"version": 2, "reason": "it errs less"}).raise_for_status()
    client.post(f"{alias}/rollback", json={"reason": "it errs more"}).raise_for_status()
    client.put(alias, json={"version": 1, "canary": {"version": 2, "percent": 5}}).raise_for_status()


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder, running_scene(Path(folder) / "data") as running:
        take(running)
