"""``make screenshots``: pictures of the console for the documentation, taken of a live gateway with real models.

1. The gateway is in use for as long as its lines show, five minutes, before anything is taken. Whoever works on the
   scene itself gives another number of seconds: ``make screenshots ARGS=20``.
2. A picture that is too large for the documentation ends the program.
"""

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from playwright.sync_api import Page

from gateway.client import Client
from gateway.rates import INTERVAL_SECONDS, POINTS
from tests.browser.browsing import picture_of, reading, running_browser, sign_in
from tests.browser.scene import FLOWERS, NO_FLOWER, PUBLISHED, Scene, running_scene
from tests.support.real_models import published_models

FOLDER = Path(__file__).parents[2] / "docs" / "console"
MOST_BYTES = 150_000
SHOWN_SECONDS = INTERVAL_SECONDS * POINTS
TURN_SECONDS = 0.25
REFUSED_EVERY = 37


def models(page: Page) -> None:
    page.goto("/console")


def model(page: Page) -> None:
    page.goto("/console/models/iris")


def plan(page: Page) -> None:
    page.goto("/console/models/iris/plan?version=2")


def graph(page: Page) -> None:
    page.goto("/console/models/magika/versions/1/graph")
    drawn = page.frame_locator("iframe")
    drawn.locator("body.default").wait_for()
    for _ in range(2):
        drawn.locator("#zoom-out-button").click()


def trying(page: Page) -> None:
    page.goto("/console/models/magika/versions/1")
    page.get_by_role("button", name="Fill in a random input").click()
    page.get_by_role("button", name="Predict").click()
    page.locator("#try-result .best").wait_for()
    page.locator("#try").evaluate("element => element.scrollIntoView()")


def trying_a_picture(page: Page) -> None:
    page.goto("/console/models/ocr-classifier/versions/1")
    page.get_by_label("Image", exact=True).check()
    page.get_by_label("1. A picture").set_input_files(picture_of(page, "Sardonyx"))
    page.get_by_label("4. Values").select_option("signed")
    page.get_by_role("button", name="Predict").click()
    page.locator("#try-result table").wait_for()
    page.locator("#try").evaluate("element => element.scrollIntoView()")


def workers(page: Page) -> None:
    page.goto("/console/workers")


def events(page: Page) -> None:
    page.goto("/console/events")


SHOTS: dict[str, tuple[str, int, Callable[[Page], None]]] = {
    "models": ("light", 440, models),
    "model": ("dark", 900, model),
    "plan": ("light", 1080, plan),
    "try-it": ("light", 1120, trying),
    "image": ("light", 900, trying_a_picture),
    "graph": ("dark", 860, graph),
    "workers": ("light", 760, workers),
    "events": ("dark", 760, events),
}
"""What is taken, by the file's name: in which colours, how high, and how one gets there."""


def take(scene: Scene, seconds: float) -> None:
    """Take every picture, after the gateway has been in use for so long."""
    with scene.client() as client:
        have_moves(client)
        with Client(scene.gateway.url, token=scene.admin) as caller:
            be_in_use(caller, client, seconds)
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
    """Move the alias to and fro, so that there is a history, and something to compare."""
    alias = "/registry/models/iris/aliases/production"
    client.put(alias, json={"version": 2, "reason": "it errs less"}).raise_for_status()
    client.post(f"{alias}/rollback", json={"reason": "it answers too late"}).raise_for_status()
    canary = {"version": 2, "percent": 20, "max_error_rate": 0.2, "max_latency_ms": 250}
    trials = {"canary": canary, "shadow": {"version": 2, "percent": 50}}
    client.put(alias, json={"version": 1, **trials}).raise_for_status()


def be_in_use(caller: Client, client: httpx.Client, seconds: float) -> None:
    """Ask all models, at rates that rise and fall, and now and then for something that is refused."""
    feeds = {model.name: model.make_feed() for model in published_models() if model.name in PUBLISHED}
    begin = time.monotonic()
    for turn in range(math.ceil(seconds / TURN_SECONDS)):
        for _ in range(round(3 + 2 * math.sin(turn / 60))):
            client.post("/models/iris/predict", json=FLOWERS).raise_for_status()
        if turn % REFUSED_EVERY == 0:
            client.post("/models/iris/predict", json=NO_FLOWER)
        for place, (name, feed) in enumerate(feeds.items()):
            if math.sin(turn / (40 + 30 * place)) + math.sin(turn / 7) > place - 1:
                caller.predict(name, feed)
        time.sleep(max(0.0, begin + (turn + 1) * TURN_SECONDS - time.monotonic()))


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder, running_scene(Path(folder) / "data") as running:
        take(running, float(sys.argv[1]) if len(sys.argv) > 1 else SHOWN_SECONDS)
