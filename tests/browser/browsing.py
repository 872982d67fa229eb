"""A real browser on a real gateway: Debian's chromium, driven by Playwright, watched for what no page may do."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    FilePayload,
    Locator,
    Page,
    Request,
    WebError,
    expect,
    sync_playwright,
)

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
VIEW: Any = {"width": 1280, "height": 900}
PATIENCE_MS = 30_000
"""Pages that are drawn again every five seconds may be late where two processors serve a browser and a gateway."""

expect.set_options(timeout=PATIENCE_MS)

_AXE = Path(__file__).parent / "axe" / "axe.min.js"
_RUN_AXE = """
async () => (await axe.run({exclude: [["iframe"]]}, {resultTypes: ["violations"]})).violations
  .filter((found) => ["serious", "critical"].includes(found.impact))
  .map((found) => [found.id, found.nodes.map((node) => node.html)])
"""
_LISTEN = """
(button) => {
  button.said = [];
  new MutationObserver(() => button.said.push(button.textContent)).observe(button, {childList: true});
}
"""
_WRITE = """
async ([words, width, height]) => {
  const canvas = new OffscreenCanvas(width, height);
  const drawing = canvas.getContext("2d");
  drawing.fillStyle = "white";
  drawing.fillRect(0, 0, width, height);
  drawing.fillStyle = "black";
  drawing.font = `${Math.round(height * 0.6)}px "DejaVu Sans", sans-serif`;
  drawing.textBaseline = "middle";
  drawing.fillText(words, height / 4, height / 2, width - height / 2);
  const blob = await canvas.convertToBlob({type: "image/png"});
  return Array.from(new Uint8Array(await blob.arrayBuffer()));
}
"""


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Start a browser; skips the test where none is installed."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no browser is installed: apt-get install chromium fonts-dejavu-core")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Watched:
    """What the pages of one reader have done that they may not do."""

    url: str
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def note_console(self, message: ConsoleMessage) -> None:
        is_answer = message.text.startswith("Failed to load resource")  # of a refusal that a test has asked for
        if message.type == "error" and not is_answer:
            self.errors.append(message.text)

    def note_error(self, error: WebError) -> None:
        self.errors.append(str(error.error))

    def note_request(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:", f"blob:{self.url}")):
            self.outside.append(request.url)


@contextmanager
def reading(browser: Browser, url: str, scheme: str, **options: Any) -> Iterator[Page]:
    """Open a page for one reader; at the end no page of theirs has met an error, or asked anybody else for anything."""
    watched = Watched(url)
    chosen: dict[str, Any] = {"viewport": VIEW, "color_scheme": scheme, **options}
    context: BrowserContext = browser.new_context(base_url=url, **chosen)
    context.set_default_timeout(PATIENCE_MS)
    context.on("console", watched.note_console)
    context.on("weberror", watched.note_error)
    context.on("request", watched.note_request)
    try:
        yield context.new_page()
        assert (watched.errors, watched.outside) == ([], [])
    finally:
        context.close()


def sign_in(page: Page, token: str) -> None:
    """Sign in by the form, as a reader does who opens the console for the first time."""
    page.goto("/console")
    page.get_by_label("Access token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Models", exact=True).wait_for()


def picture_of(page: Page, words: str, *, width: int = 192, height: int = 48) -> FilePayload:
    """Return a picture of a line of text, black on white, as a file that a reader has at hand."""
    octets = page.evaluate(_WRITE, [words, width, height])
    return {"name": "line.png", "mimeType": "image/png", "buffer": bytes(octets)}


def copy_by(page: Page, button: Locator) -> None:
    """Press a button that copies, and return when it has said that it has: it says so for a moment only."""
    pressed = button.element_handle()
    pressed.evaluate(_LISTEN)
    button.click()
    page.wait_for_function("(button) => button.said.includes('Copied')", arg=pressed)


def find_obstacles(page: Page) -> list[Any]:
    """Return what axe finds in a page that keeps somebody from using it: serious or critical."""
    page.wait_for_load_state()
    page.evaluate(_axe())
    found: list[Any] = page.evaluate(_RUN_AXE)
    return found


@cache
def _axe() -> str:
    return _AXE.read_text(encoding="utf-8")
