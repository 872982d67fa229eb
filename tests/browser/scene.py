"""A gateway as it is in use: real models, several versions, one token for each kind of reader, and traffic."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from gateway.client import Client
from tests.support.gateway_process import GatewayProcess, running_gateway
from tests.support.real_models import published_models
from tests.support.tokens import bearer, make_token

EXAMPLES = Path(__file__).parents[2] / "examples"
PUBLISHED = {
    "magika": "What kind of file some bytes are",
    "ocr-classifier": "Whether a line of text stands on its head",
    "silero-vad": "Whether somebody speaks",
}
DESCRIPTIONS = {**PUBLISHED, "iris": "Which iris a flower is, of four measures"}
GOLDEN = {"name": "setosa", "inputs": {"x": [[5.1, 3.5, 1.4, 0.2]]}, "outputs": {"label": [0]}}
FLOWERS = {"inputs": {"x": [[5.1, 3.5, 1.4, 0.2], [6.2, 2.9, 4.3, 1.3]]}}
NO_FLOWER = {"inputs": {"x": [[5.1, 3.5]]}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The gateway and who may use it."""

    gateway: GatewayProcess
    scientist: str
    viewer: str
    admin: str

    def client(self) -> httpx.Client:
        return self.gateway.client(headers=bearer(self.admin))


@contextmanager
def running_scene(data_dir: Path) -> Iterator[Scene]:
    with running_gateway(data_dir, auth="on") as gateway:
        admin = make_token(data_dir, "admin", name="ada").text
        scene = Scene(
            gateway=gateway,
            scientist=make_token(data_dir, "publish", name="grace").text,
            viewer=make_token(data_dir, "predict", name="shop", models="iris").text,
            admin=admin,
        )
        with Client(gateway.url, token=admin) as client:
            register_models(client)
        with scene.client() as client:
            for name, text in DESCRIPTIONS.items():
                client.patch(f"/registry/models/{name}", json={"description": text}).raise_for_status()
            have_traffic(client)
        yield scene


def register_models(client: Client) -> None:
    for model in published_models():
        if model.name in PUBLISHED:
            client.register(model.path, name=model.name, description=PUBLISHED[model.name])
            client.promote(model.name, 1)
    client.register(EXAMPLES / "iris_logistic.onnx", name="iris", description="Logistic regression on Fisher's irises")
    client.register(EXAMPLES / "iris_forest.onnx", name="iris", description="Random forest on Fisher's irises")
    client.set_examples("iris", 1, [GOLDEN])
    client.promote("iris", 1)


def have_traffic(client: httpx.Client, *, refused: int = 5) -> None:
    """Send some good requests, and some that are refused."""
    for _ in range(30):
        client.post("/models/iris/predict", json=FLOWERS).raise_for_status()
    for _ in range(refused):
        assert client.post("/models/iris/predict", json=NO_FLOWER).status_code == 422
