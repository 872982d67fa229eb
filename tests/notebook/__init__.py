"""Notebooks, executed: code cells in order, in one namespace, and their outputs as Jupyter stores them (nbformat 4).

What Jupyter itself would take (a kernel, and thirty packages) is not needed for cells that print and return.
"""

import ast
import contextlib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway.client import Client

Cell = dict[str, Any]


def read_notebook(path: Path) -> dict[str, Any]:
    """Return a notebook as it is stored."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def write_notebook(path: Path, notebook: Mapping[str, Any]) -> None:
    """Store a notebook as Jupyter does: an indent of one, a line end at the end."""
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def code_cells(notebook: Mapping[str, Any]) -> Iterator[Cell]:
    """Yield the cells that are code."""
    yield from (cell for cell in notebook["cells"] if cell["cell_type"] == "code")


def execute(notebook: dict[str, Any], *, replace: Mapping[str, str]) -> dict[str, Any]:
    """Return a notebook with the outputs of a run.

    Args:
        notebook: is left as it is.
        replace: what stands in its sources, and what is run in its place; outputs have it the other way round.
    """
    done: dict[str, Any] = json.loads(json.dumps(notebook))
    namespace: dict[str, Any] = {"__name__": "__main__"}
    try:
        for count, cell in enumerate(code_cells(done), start=1):
            source = "".join(cell["source"])
            for written, meant in replace.items():
                source = source.replace(written, meant)
            cell["execution_count"] = count
            cell["outputs"] = [_restored(output, replace) for output in _outputs(source, count, namespace)]
    finally:
        _close_clients(namespace)
    return done


def _close_clients(namespace: Mapping[str, Any]) -> None:
    """Close what a notebook's reader leaves open until the kernel ends."""
    for value in namespace.values():
        if isinstance(value, Client):
            value.close()


def run_source(source: str, namespace: dict[str, Any], name: str = "<block>") -> tuple[str, Any]:
    """Run a piece of a program; return what it prints, and the value of the expression that it ends with, if any."""
    tree = ast.parse(source, filename=name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    value = None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(tree, name, "exec"), namespace)  # noqa: S102 - our own documentation
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), name, "eval"), namespace)  # noqa: S307 - as above
    return printed.getvalue(), value


def _outputs(source: str, count: int, namespace: dict[str, Any]) -> Iterator[Cell]:
    printed, value = run_source(source, namespace, f"<cell {count}>")
    if printed:
        yield {"name": "stdout", "output_type": "stream", "text": printed.splitlines(keepends=True)}
    if value is not None:
        yield {"data": _data(value), "execution_count": count, "metadata": {}, "output_type": "execute_result"}


def _data(value: Any) -> dict[str, list[str]]:
    data = {"text/plain": repr(value).splitlines(keepends=True)}
    if hasattr(value, "_repr_html_"):
        data["text/html"] = value._repr_html_().splitlines(keepends=True)
    return data


def _restored(output: Cell, replace: Mapping[str, str]) -> Cell:
    text = json.dumps(output)
    for written, meant in replace.items():
        text = text.replace(meant, written)
    restored: Cell = json.loads(text)
    return restored
