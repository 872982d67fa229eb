"""The Python client: register models and call them, with numpy arrays on this side of the wire.

    from gateway import client

    client.register("iris.onnx", name="iris")
    client.predict("iris:1", [[5.1, 3.5, 1.4, 0.2]])["label"]

The functions here talk to the gateway of ``SARDONYX_URL`` (by default http://127.0.0.1:8000) with the token of
``SARDONYX_TOKEN``; a ``Client`` talks to any. Importing this costs a few milliseconds: numpy and the converters are
imported where they are used.
"""

from gateway.client.client import Client
from gateway.client.default import predict, register
from gateway.client.errors import (
    AccessError,
    ApiError,
    Busy,
    CallerError,
    ClientError,
    Conflict,
    ConnectionFailed,
    ConversionMismatch,
    Fault,
    InputMismatch,
    MoveNotFollowed,
    NotFound,
    UnusableArgument,
)
from gateway.client.faults import Difference, Violation
from gateway.client.prediction import Prediction
from gateway.client.recording import ExampleNotKept
from gateway.client.repeating import RepeatingTransport
from gateway.client.transport import HttpTransport, Response, Transport
from gateway.client.versions import Conversion, VersionInfo

__all__ = [
    "AccessError",
    "ApiError",
    "Busy",
    "CallerError",
    "Client",
    "ClientError",
    "Conflict",
    "ConnectionFailed",
    "Conversion",
    "ConversionMismatch",
    "Difference",
    "ExampleNotKept",
    "Fault",
    "HttpTransport",
    "InputMismatch",
    "MoveNotFollowed",
    "NotFound",
    "Prediction",
    "RepeatingTransport",
    "Response",
    "Transport",
    "UnusableArgument",
    "VersionInfo",
    "Violation",
    "predict",
    "register",
]
