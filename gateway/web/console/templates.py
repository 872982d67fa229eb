"""Templates -> HTML. The only importer of jinja2.

1. Every template is a file of this package; no text that came from anybody is ever read as one.
2. Whatever is put into a template is escaped, and nothing is exempt: there is no ``safe`` and no ``Markup`` in here.
3. A name that a page was not given is an error, not an empty place.
"""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from gateway.web.console import words
from gateway.web.console.assets import asset_url
from gateway.web.console.sparkline import sparkline_points

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, context: Mapping[str, Any]) -> str:
    """Return the page; takes some milliseconds for a long one: not on the event loop."""
    return _environment().get_template(template).render(context)


def prepare(*names: str) -> None:
    """Read templates ahead of time, which takes a hundred times as long as filling them."""
    for name in names:
        _environment().get_template(name)


@cache
def _environment() -> "Environment":
    import jinja2  # whoever asks for no page does not pay for it

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gateway.web.console"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["asset"] = asset_url
    environment.globals["sparkline_points"] = sparkline_points
    environment.filters |= words.FILTERS
    return environment
