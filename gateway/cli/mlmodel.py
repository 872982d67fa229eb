"""The file ``MLmodel`` of an MLflow model, as far as an import needs it.

MLflow writes it with PyYAML's ``safe_dump``: mappings in block style, two blanks a level, scalars on one line or
folded. Only that is read, and only mappings of scalars are kept: sequences and what is folded over several lines are
passed over. A reader of all of YAML would have anchors, tags and documents to be afraid of, and nothing to gain.

Source: MLflow documentation, MLflow Models, Storage Format.
"""

import re
from typing import Final

from gateway.cli.imports import OtherKind, Unreadable, is_plain_name

FILE: Final = "MLmodel"
MAX_BYTES: Final = 1024 * 1024
_MAX_DEPTH: Final = 16

_ENTRY = re.compile(r"( *)([A-Za-z0-9_.-]+):(?: (.*))?")

Mapping = dict[str, "str | Mapping"]


def read_mlmodel(text: str) -> Mapping:
    """Return the mappings and scalars of the file; quotes around a scalar are taken off.

    Raises:
        Unreadable: it is too long, or mappings lie too deep in each other.
    """
    if len(text) > MAX_BYTES:
        raise Unreadable(f"{FILE} is longer than {MAX_BYTES} characters")
    root: Mapping = {}
    levels: list[tuple[int, Mapping]] = [(0, root)]
    opened: tuple[int, Mapping, str] | None = None
    for line in text.splitlines():
        found = _ENTRY.fullmatch(line.rstrip())
        if found is None:
            continue
        indent, name, value = len(found[1]), found[2], found[3]
        if opened is not None and indent > opened[0]:
            inner: Mapping = {}
            opened[1][opened[2]] = inner
            levels.append((indent, inner))
            if len(levels) > _MAX_DEPTH:
                raise Unreadable(f"{FILE}: mappings lie more than {_MAX_DEPTH} deep")
        while len(levels) > 1 and levels[-1][0] > indent:
            levels.pop()
        if levels[-1][0] != indent:
            opened = None  # it belongs to a scalar that is folded over several lines
            continue
        opened = None if value else (indent, levels[-1][1], name)
        levels[-1][1][name] = _plain(value or "")
    return root


def graph_name(mlmodel: Mapping) -> str:
    """Return the name of the graph's file.

    Raises:
        OtherKind: it is no model of the ONNX flavour.
        Unreadable: the file's name is none.
    """
    flavors = mlmodel.get("flavors")
    onnx = flavors.get("onnx") if isinstance(flavors, dict) else None
    if not isinstance(onnx, dict):
        kinds = sorted(flavors) if isinstance(flavors, dict) else []
        raise OtherKind(f"it has no flavour onnx, but {', '.join(kinds)[:100] or 'none'}")
    name = onnx.get("data", "")
    if not isinstance(name, str) or not is_plain_name(name):
        raise Unreadable(f"{FILE}: the graph's file has no name: {str(name)[:60]!r}")
    return name


def facts(mlmodel: Mapping) -> dict[str, str]:
    """Return what is worth a tag."""
    names = ("run_id", "model_id", "model_uuid", "mlflow_version", "utc_time_created")
    found = {f"mlflow.{name}": mlmodel.get(name) for name in names}
    return {name: value for name, value in found.items() if isinstance(value, str) and value}


def _plain(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
