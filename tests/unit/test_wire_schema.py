"""The scan's table of messages against onnx's own descriptors."""

from collections.abc import Iterable, Iterator
from typing import Any

from onnx import onnx_ml_pb2

from registry.inspection.schema import MESSAGES, MODEL_FIELDS


def all_messages(messages: Iterable[Any]) -> Iterator[Any]:
    for message in messages:
        yield message
        yield from all_messages(message.nested_types)


def test_the_table_lists_every_field_that_holds_a_message() -> None:
    known = all_messages(onnx_ml_pb2.DESCRIPTOR.message_types_by_name.values())
    holding = {
        message.name: {field.number: field.message_type.name for field in message.fields if field.message_type}
        for message in known
    }
    assert {name: fields for name, fields in holding.items() if fields} == {
        name: dict(fields) for name, fields in MESSAGES.items()
    }


def test_the_table_lists_every_field_of_a_model() -> None:
    assert {field.number for field in onnx_ml_pb2.ModelProto.DESCRIPTOR.fields} == MODEL_FIELDS
