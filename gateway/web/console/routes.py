"""Every router of the console, in the order in which their paths are tried."""

from gateway.web.console import (
    assets,
    ending,
    events_page,
    graph_page,
    home,
    model_page,
    moving,
    netron,
    sign_in,
    version_page,
    workers_page,
)

ROUTERS = (
    sign_in.router,
    assets.router,
    home.router,
    model_page.router,
    moving.router,
    version_page.router,
    graph_page.router,
    netron.router,
    ending.router,
    workers_page.router,
    events_page.router,
)
