"""torch modules to ONNX, by torch's own exporter (torch.onnx.export with dynamo).

The first dimension is exported as the free dimension ``batch`` where all tensors of the example agree about it. The
exporter fixes a dimension of size 1, so such an example is doubled for the export (not for the comparison).
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.client.comparison import Original
from gateway.client.errors import UnusableArgument

BATCH = "batch"


def convert_module(model: Any, example: Any) -> tuple[dict[str, bytes], Original]:
    """Convert a module as it behaves in evaluation; return its files by name and what it says about the example.

    Args:
        model: its training mode is restored afterwards.
        example: a tensor, or a tuple of the tensors that ``forward`` takes.

    Raises:
        UnusableArgument: onnxscript is not installed, which torch's exporter needs.
    """
    import torch

    tensors = tuple(example) if isinstance(example, list | tuple) else (example,)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), tempfile.TemporaryDirectory(prefix="sardonyx-") as folder:
            _export(model, tensors, Path(folder))
            contents = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
            answer = model(*tensors)
    finally:
        model.train(was_training)
    original = Original(
        source=f"torch {torch.__version__} {type(model).__name__}",
        inputs=[tensor.detach().cpu().numpy() for tensor in tensors],
        outputs=[tensor.detach().cpu().numpy() for tensor in flatten_answer(answer)],
    )
    return contents, original


def free_batch(shapes: Sequence[Sequence[int]]) -> tuple[dict[int, str], ...] | None:
    """Return the exporter's ``dynamic_shapes`` for these shapes, or None where no batch dimension is common to all."""
    if not shapes or any(not shape for shape in shapes) or len({shape[0] for shape in shapes}) != 1:
        return None
    return tuple({0: BATCH} for _ in shapes)


def flatten_answer(answer: Any) -> list[Any]:
    """Return the tensors of an answer (a tensor, or nested tuples, lists and mappings) in the exporter's order."""
    if isinstance(answer, list | tuple):
        return [tensor for part in answer for tensor in flatten_answer(part)]
    if hasattr(answer, "values") and hasattr(answer, "keys"):
        return [tensor for part in answer.values() for tensor in flatten_answer(part)]
    return [] if answer is None else [answer]


def _export(model: Any, tensors: tuple[Any, ...], folder: Path) -> None:
    import torch

    dynamic = free_batch([tuple(tensor.shape) for tensor in tensors])
    if dynamic is not None and tensors[0].shape[0] == 1:
        tensors = tuple(torch.cat((tensor, tensor)) for tensor in tensors)
    try:
        torch.onnx.export(
            model,
            tensors,
            folder / "model.onnx",
            dynamo=True,
            dynamic_shapes=dynamic,
            external_data=True,
            verbose=False,
        )
    except ImportError as error:
        raise UnusableArgument(f"torch's exporter needs more: pip install 'sardonyx[torch]' ({error})") from None
