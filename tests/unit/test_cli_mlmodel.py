"""The file that describes an MLflow model, as MLflow 3.17 writes it."""

import pytest

from gateway.cli.imports import OtherKind, Unreadable
from gateway.cli.mlmodel import MAX_BYTES, facts, graph_name, read_mlmodel

MLMODEL = """\
artifact_path: mlflow-artifacts:/0/models/m-5f1f/artifacts
flavors:
  onnx:
    code: null
    data: model.onnx
    onnx_session_options: null
    onnx_version: 1.23.2
    providers:
    - CUDAExecutionProvider
    - CPUExecutionProvider
  python_function:
    data: other.onnx
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.onnx
metadata: null
mlflow_version: 3.17.2
model_id: m-5f1f
model_uuid: m-5f1f
run_id: 'a1b2'
signature:
  inputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 4]},
    "name": "x: 1"}]'
  outputs: null
utc_time_created: '2026-11-28 13:46:10.123456'
"""


def test_what_matters_is_read() -> None:
    found = read_mlmodel(MLMODEL)

    assert graph_name(found) == "model.onnx"
    assert facts(found) == {
        "mlflow.run_id": "a1b2",
        "mlflow.model_id": "m-5f1f",
        "mlflow.model_uuid": "m-5f1f",
        "mlflow.mlflow_version": "3.17.2",
        "mlflow.utc_time_created": "2026-11-28 13:46:10.123456",
    }


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("flavors:\n  sklearn:\n    data: model.pkl\n", OtherKind),
        ("flavors: none\n", OtherKind),
        ("", OtherKind),
        ("flavors:\n  onnx:\n    data: ../../etc/passwd\n", Unreadable),
        ("flavors:\n  onnx:\n    data: /etc/passwd\n", Unreadable),
        ("flavors:\n  onnx:\n    code: null\n", Unreadable),
        ("flavors:\n  onnx:\n    data:\n      x: y\n", Unreadable),
        ("".join(f"{' ' * depth}a:\n" for depth in range(20)), Unreadable),
        ("#" * (MAX_BYTES + 1), Unreadable),
    ],
    ids=["another flavour", "no flavours", "empty", "up", "absolute", "no file", "a mapping", "deep", "huge"],
)
def test_what_is_no_onnx_model_or_leads_elsewhere_is_refused(text: str, kind: type[Exception]) -> None:
    with pytest.raises(Unreadable) as caught:
        graph_name(read_mlmodel(text))
    assert type(caught.value) is kind
