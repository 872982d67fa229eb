"""Every router of the console, in the order in which their paths are tried."""

from gateway.web.console import assets, graph_page, home, model_page, netron, sign_in, version_page

ROUTERS = (
    sign_in.router,
    assets.router,
    home.router,
    model_page.router,
    version_page.router,
    graph_page.router,
    netron.router,
)
