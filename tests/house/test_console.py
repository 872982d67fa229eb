"""What holds for every page of the console, whoever adds one: its headers, and that nothing comes from elsewhere."""

import re
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from gateway.web.console import templates
from gateway.web.console.policy import ALONE, FRAMED, ConsoleRoute, FramedRoute
from gateway.web.control import ROUTERS
from gateway.web.cookies import is_console
from registry.roles import Role

CONSOLE = Path(__file__).parents[2] / "gateway" / "web" / "console"
TEMPLATES = sorted((CONSOLE / "templates").rglob("*.html"))
OURS = sorted(path for path in (CONSOLE / "assets").iterdir() if path.suffix in {".js", ".css", ".svg"})
ROUTES = [route for router in ROUTERS for route in router.routes if is_console(getattr(route, "path", ""))]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; frame-src 'self'; base-uri 'none'; frame-ancestors "
)


def name_of(path: Path) -> str:
    return path.name


def test_the_policy_lets_in_nothing_from_elsewhere_and_no_program_in_a_page() -> None:
    policies = [dict(lines)["content-security-policy"] for lines in (ALONE, FRAMED)]
    assert policies == [POLICY + "'none'", POLICY + "'self'"]


def test_every_route_of_the_console_carries_its_headers_and_is_in_no_document_of_the_api() -> None:
    assert ROUTES
    assert {type(route) for route in ROUTES} <= {ConsoleRoute, FramedRoute}
    assert [route.path for route in ROUTES if isinstance(route, APIRoute) and route.include_in_schema] == []


def test_reading_changes_nothing_so_what_changes_something_is_no_get() -> None:
    reading = {route.path for route in ROUTES if isinstance(route, ConsoleRoute) and route.methods <= {"GET", "HEAD"}}
    writing = {
        route.path for route in ROUTES if isinstance(route, ConsoleRoute) and not route.methods <= {"GET", "HEAD"}
    }
    open_to_all = {path for path in writing if path in {"/console/sign-in", "/console/sign-out"}}
    roles = {route.role for route in ROUTES if isinstance(route, ConsoleRoute) and route.path in writing - open_to_all}
    assert (bool(reading), roles <= {Role.ADMIN, Role.PUBLISH}) == (True, True)


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_a_template_holds_no_program_no_style_and_no_way_around_escaping(path: Path) -> None:
    source = path.read_text("utf-8")
    every = re.findall(r"<script\b[^>]*>.*?</script>", source, re.DOTALL)
    scripts = [
        script
        for script in every
        if re.fullmatch(r'<script( type="module")? src="[^"]+"( defer)?></script>', script) is None
    ]
    inline = re.findall(r"<style\b|\sstyle=|\son[a-z]+=|hx-on|javascript:|hx-vals=.js:|\[[^\]]*\]\s*from:", source)
    around = re.findall(r"\|\s*safe\b|Markup|autoescape|{%\s*raw", source)
    assert (scripts, inline, around) == ([], [], [])


@pytest.mark.parametrize("path", [*TEMPLATES, *OURS], ids=name_of)
def test_nothing_refers_to_another_place(path: Path) -> None:
    found = set(re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", path.read_text("utf-8")))
    assert found <= {"http://www.w3.org"}  # the name of SVG


def test_every_template_can_be_read_and_escapes_what_it_is_given() -> None:
    environment = templates._environment()
    for path in TEMPLATES:
        environment.get_template(path.relative_to(CONSOLE / "templates").as_posix())
    assert environment.autoescape is True
    assert environment.from_string("{{ text }}").render(text="<b>&") == "&lt;b&gt;&amp;"


def test_what_came_from_elsewhere_has_its_licence_beside_it() -> None:
    about = (CONSOLE / "assets" / "README.md").read_text("utf-8")
    assert "`htmx.min.js`" in about
    assert "4.0.1" in (CONSOLE / "assets" / "htmx.min.js").read_text("utf-8")
    assert "Zero-Clause BSD" in (CONSOLE / "assets" / "htmx.LICENSE").read_text("utf-8")
