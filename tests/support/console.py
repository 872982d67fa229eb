"""The console as tests use it: browsers that have signed in, and the forms that they fill in."""

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support import models
from tests.support.gateway_process import GatewayProcess, running_gateway
from tests.support.tokens import bearer, make_token
from tests.support.uploads import upload

MARK = {"x-sardonyx-console": "1"}
"""What the console's own scripts send."""

HOSTILE = "<script>alert(1)</script>\"'&{{7*7}}"
"""Text that would be a program if it were not escaped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """A gateway with tokens on."""

    gateway: GatewayProcess
    admin_token: str
    viewer_token: str

    @contextmanager
    def browser(self, token: str) -> Iterator[httpx.Client]:
        """Yield somebody who has signed in."""
        with self.gateway.client() as client:
            assert client.post("/console/sign-in", data={"token": token}).status_code == 303
            yield client

    def register(self, name: str, *dtypes: str) -> None:
        """Register a version for each dtype, with hostile words beside it."""
        with self.gateway.client(headers=bearer(self.admin_token)) as client:
            for dtype in dtypes:
                upload(client, name, models.identity(dtype), description=HOSTILE, tag=f"note:{HOSTILE}")


@contextmanager
def running_console(folder: Path) -> Iterator[Console]:
    """Run a gateway with a token for an admin, ``adminer``, and one for a viewer, ``predicter``."""
    with running_gateway(folder, auth="on") as gateway:
        tokens = {role: make_token(folder, role, name=f"{role}er").text for role in ("admin", "predict")}
        yield Console(gateway=gateway, admin_token=tokens["admin"], viewer_token=tokens["predict"])


def form_of(page: str, about: str = 'id="carry-out"') -> dict[str, str]:
    """Return the hidden fields of a form, as a browser would send them."""
    part = page.split(about, 1)[1].split("</form>", 1)[0]
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', part)
    return {name: html.unescape(value) for name, value in found}


def live(client: httpx.Client, name: str) -> dict[str, object]:
    """Return what production is: its version, its canary and its shadow."""
    answer = client.get(f"/registry/models/{name}/aliases/production", headers=MARK).json()
    return {part: answer[part] for part in ("version", "canary", "shadow")}
