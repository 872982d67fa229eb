"""Every wire, by its dialect: a new one is added here."""

from collections.abc import Mapping
from types import MappingProxyType

from gateway.web.native import NativeWire
from gateway.web.open_inference import OpenInferenceWire
from gateway.web.paths import Dialect
from gateway.web.tensorflow import TensorflowWire
from gateway.web.wire import Wire

WIRES: Mapping[Dialect, Wire] = MappingProxyType(
    {
        Dialect.NATIVE: NativeWire(),
        Dialect.OPEN_INFERENCE: OpenInferenceWire(),
        Dialect.TENSORFLOW: TensorflowWire(),
    }
)
