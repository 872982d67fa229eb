"""Register over REST, predict over HTTP, compare with the runtime in process: equal to the last bit."""

from functools import cache
from pathlib import Path

import httpx
import orjson
import pytest

from tests.support.gateway_process import GatewayProcess
from tests.support.real_models import RealModel, backend_models, plain_session, published_models
from tests.support.uploads import send, upload
from tests.support.wire import array_of, body_of, same_bits

PUBLISHED = published_models()
BACKEND = list(backend_models())

LOADABLE_COUNT = 109


def predict(client: httpx.Client, model: str, body: bytes) -> httpx.Response:
    return client.post(
        f"/v1/models/{model}/predict",
        content=body,
        headers={"content-type": "application/json"},
    )


def assert_served_like_in_process(client: httpx.Client, model: RealModel) -> None:
    upload(client, model.name, model.path.read_bytes())
    feed = model.make_feed()
    session = plain_session(model.path)
    expected = session.run(None, feed)
    answer = predict(client, model.name, body_of(feed))
    assert answer.status_code == 200, answer.text[:2000]
    outputs = orjson.loads(answer.content)["outputs"]
    assert list(outputs) == [spec.name for spec in session.get_outputs()]
    served = [
        array_of(outputs[spec.name], array.dtype) for spec, array in zip(session.get_outputs(), expected, strict=True)
    ]
    assert same_bits(served, expected)


@pytest.mark.parametrize("model", PUBLISHED, ids=lambda model: model.name)
def test_a_published_model_is_served_bit_for_bit(gateway: GatewayProcess, model: RealModel) -> None:
    with gateway.client() as client:
        assert_served_like_in_process(client, model)


@cache
def loads_here(path: Path) -> bool:
    try:
        plain_session(path)
    except Exception:  # noqa: BLE001 - the runtime's errors have no common ancestor
        return False
    return True


@pytest.mark.parametrize("model", BACKEND, ids=lambda model: model.name)
def test_a_backend_test_model_is_served_bit_for_bit_or_refused_with_a_reason(
    gateway: GatewayProcess, model: RealModel
) -> None:
    with gateway.client() as client:
        if loads_here(model.path):
            assert_served_like_in_process(client, model)
        else:
            refused = send(client, model.name, model.path.read_bytes())
            assert (refused.status_code, refused.json()["code"]) in {
                (422, "invalid_model"),
                (422, "unsupported_operator"),
            }


def test_the_backend_test_models_that_load_are_as_many_as_known() -> None:
    assert (len(BACKEND), sum(loads_here(model.path) for model in BACKEND)) == (149, LOADABLE_COUNT)
