"""What a head that has been understood keeps, and what it does not."""

import gc
from weakref import ref

from gateway.metrics import Metrics
from gateway.web.endpoint import Endpoint, EndpointFactory
from gateway.web.heads import Head
from gateway.web.paths import Target
from registry.names import Reference
from registry.tensor import DTYPES, TensorSpec
from tests.support.serving_models import make_version


def make_endpoint(number: int) -> Endpoint:
    spec = TensorSpec(name="x", dtype=DTYPES["float32"], shape=(4,))
    return EndpointFactory(Metrics())(make_version("iris", number, inputs=[spec]))


def make_head() -> Head:
    return Head(b"/models/iris/predict", "/models/iris/predict", Target(Reference("iris")), {}, 10)


def test_the_log_line_of_a_head_is_that_of_the_endpoint_which_answers_now() -> None:
    head = make_head()
    lines = [head.log_line(make_endpoint(number)) for number in (1, 2)]
    common = b'{"event":"request","method":"POST","path":"/models/iris/predict","actor":null,"status":200,"code":"ok"'
    assert lines == [common + b',"model":"iris","version":%d' % number for number in (1, 2)]


def test_a_head_does_not_keep_the_endpoint_that_has_answered_it() -> None:
    head, endpoint = make_head(), make_endpoint(1)
    head.log_line(endpoint)
    watched = ref(endpoint)
    del endpoint
    gc.collect()
    assert watched() is None
