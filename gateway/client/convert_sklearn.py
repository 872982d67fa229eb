"""scikit-learn estimators to ONNX, by skl2onnx.

The graph's input is called ``x`` and has the example's dtype and width with a free number of rows. A classifier gives
``label`` and ``probabilities`` as plain tensors (skl2onnx's ZipMap would make a list of dictionaries of the latter).
"""

from typing import Any

from gateway.client.comparison import Original
from gateway.client.errors import UnusableArgument

INPUT_NAME = "x"


def convert_estimator(model: Any, example: Any) -> tuple[bytes, Original]:
    """Convert a fitted estimator; return the graph's bytes and what the estimator says about the example.

    Args:
        model: fitted; a pipeline counts as what its last step is.
        example: rows as the estimator takes them, shape [n, features], n at least 1.

    Raises:
        UnusableArgument: skl2onnx is not installed, or the example is no table of one dtype.
    """
    rows = _table(example)
    try:
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import guess_tensor_type
    except ImportError:
        raise UnusableArgument("skl2onnx is not installed: pip install 'sardonyx[sklearn]'") from None
    from sklearn.base import is_classifier

    column_type = type(guess_tensor_type(_tensor_type_of(rows)))
    graph = to_onnx(
        model,
        initial_types=[(INPUT_NAME, column_type([None, rows.shape[1]]))],
        options={"zipmap": False} if is_classifier(model) else None,
    )
    return graph.SerializeToString(), Original(inputs=[rows], outputs=_answers(model, example))


def _table(example: Any) -> Any:
    import numpy as np

    rows = np.asarray(example)
    if rows.ndim != 2 or not rows.shape[0] or rows.dtype.kind not in "fiub":  # noqa: PLR2004 - rows and columns
        raise UnusableArgument(
            "the example is a table of rows of one numeric dtype, such as X_train[:10]; for columns of several types "
            "convert with skl2onnx and register the result"
        )
    return rows


def _tensor_type_of(rows: Any) -> Any:
    from skl2onnx.common.data_types import guess_data_type

    return guess_data_type(rows[:1])[0][1]


def _answers(model: Any, example: Any) -> list[Any]:
    """Return what the estimator says, in the order in which skl2onnx puts the outputs."""
    import numpy as np

    if hasattr(model, "predict"):
        answers = [model.predict(example)]
        if hasattr(model, "predict_proba"):
            answers.append(model.predict_proba(example))
    elif hasattr(model, "transform"):
        answers = [model.transform(example)]
    else:
        raise UnusableArgument(f"a {type(model).__name__} neither predicts nor transforms")
    return [np.asarray(answer) for answer in answers]
