"""Train two small classifiers on Fisher's irises and write them as ONNX.

    python examples/make_iris.py [FOLDER]

writes ``iris_logistic.onnx`` and ``iris_forest.onnx``, which have the same signature, so that one can be promoted in
the other's place:

    x: float32[batch, 4]    sepal length, sepal width, petal length, petal width, in centimetres
    label: int64[batch]     0 setosa, 1 versicolor, 2 virginica
    probabilities: float32[batch, 3]

Needs scikit-learn and skl2onnx (``pip install sardonyx[sklearn]``).
"""

import sys
from pathlib import Path

import onnx
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

OPSETS = {"": 21, "ai.onnx.ml": 3}
CLASSIFIERS = {
    "iris_logistic.onnx": (LogisticRegression(max_iter=1000), "Logistic regression on Fisher's irises"),
    "iris_forest.onnx": (
        RandomForestClassifier(n_estimators=25, max_depth=4, random_state=0),
        "Random forest of 25 trees on Fisher's irises",
    ),
}


def main(folder: Path) -> None:
    """Train both on all 150 flowers and write them into ``folder``."""
    flowers = load_iris()
    for file_name, (classifier, description) in CLASSIFIERS.items():
        classifier.fit(flowers.data, flowers.target)
        (folder / file_name).write_bytes(convert(classifier, description).SerializeToString(deterministic=True))


def convert(classifier: ClassifierMixin, description: str) -> onnx.ModelProto:
    """Return the fitted classifier as ONNX; probabilities as one tensor instead of a list of dictionaries."""
    model: onnx.ModelProto = to_onnx(
        classifier,
        name="iris",
        initial_types=[("x", FloatTensorType([None, 4]))],
        options={id(classifier): {"zipmap": False}},
        target_opset=OPSETS,
    )
    model.doc_string = description
    for output, name in zip(model.graph.output, ("label", "probabilities"), strict=True):
        rename(model.graph, output.name, name)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    imports = {imported.domain: imported.version for imported in model.opset_import}
    del model.opset_import[:]  # the converter names a domain once for each operator
    model.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in sorted(imports.items()))
    onnx.checker.check_model(model, full_check=True)
    return model


def rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Call a value of the graph by another name, wherever it is made or used."""
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
    for value in graph.output:
        value.name = new if value.name == old else value.name


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
