"""Where a path is built of anything but constants: each place is known, and what its names are is written down.

Clients give names of models, of files that belong to a model, keys of buckets, and whatever else fits into a request.
None of these may become a part of a path unchecked. Types do not show where a string comes from, so every function that
builds a path, or opens what is no path yet, is in ``REVIEWED`` with the reason why no foreign string gets in; a new one
fails until somebody has looked. ``gateway/cli`` and ``gateway/client`` are left out: they open what their user names.
"""

import ast
from collections.abc import Iterator

from tests.supply_chain.source_rules import Names

_OPENING = {"builtins.open", "os.open", "os.unlink", "os.remove", "os.mkdir", "os.makedirs"}
_JOINING = {
    *("pathlib.Path", "pathlib.PurePath", "os.path.join", "os.rename", "os.replace", "os.link", "os.symlink"),
    *("shutil.copyfile", "shutil.move"),
}
_METHODS = {"joinpath", "with_name", "with_suffix", "with_stem", "symlink_to", "hardlink_to"}

_FILE_OF_A_VERSION = "an artifact's file name: parsed, one component of [A-Za-z0-9._-], no leading dot"
_FOLDER_OF_A_CACHE = "a digest, or what the cache has named by one"
_OWN_FOLDER = "what stands in our own folder"

REVIEWED = {
    "gateway/documents.py::_path": "a digest of the key",
    "gateway/documents.py::put": "a random name",
    "gateway/isolation/child.py::main": "the parent's word: a cache folder's file, named as below",
    "gateway/settings.py::embedded_database_path": "a setting",
    "gateway/settings.py::store_dir": "a setting",
    "gateway/web/console/netron.py::_folder": "where Python says that a package lies",
    "gateway/web/console/netron.py::_read": "a name out of a constant table",
    "gateway/witness.py::_is_ending": "a number",
    "model_store/cached_folders.py::list_folders": _OWN_FOLDER,
    "model_store/disk_cache.py::_copy": _FILE_OF_A_VERSION,
    "model_store/disk_cache.py::_is_intact": _FILE_OF_A_VERSION,
    "model_store/local.py::_blobs_below": _OWN_FOLDER,
    "model_store/local.py::_copied": "a random name",
    "model_store/local.py::_path": "a key, which is made of a digest",
    "model_store/local.py::_replace": "a random name",
    "model_store/local.py::probe": "random names",
    "model_store/prepared_models.py::_contents": _OWN_FOLDER,
    "model_store/shared_folders.py::_used_at": _FOLDER_OF_A_CACHE,
    "model_store/shared_folders.py::lock": _FOLDER_OF_A_CACHE,
    "model_store/shared_folders.py::path": _FOLDER_OF_A_CACHE,
    "model_store/streams.py::__init__": "a constant in a folder with a random name",
    "model_store/streams.py::_make_locked_folder": "a random name",
    "registry/inspection/__main__.py::_rehearse": "a descriptor",
    "registry/inspection/__main__.py::main": "the parent's word: a spool or cache folder and a file name as below",
    "registry/inspection/children.py::peak_bytes": "a number",
    "registry/inspection/control_groups.py::_groups": "where the kernel says that this process is; no step up",
    "registry/inspection/control_groups.py::_quota": "constants",
    "registry/inspection/control_groups.py::memory_limit_bytes": "constants",
    "registry/inspection/forerunner.py::_be_child": "a descriptor",
    "registry/inspection/program_files.py::program_files": "where Python says that its own files are",
    "registry/inspection/sandbox.py::inspect": _FILE_OF_A_VERSION,
    "registry/inspection/starting.py::as_descriptor": "a descriptor",
    "registry/registration.py::register_blobs": _FILE_OF_A_VERSION,
}
"""``module::function``: what the names in its paths are."""


def building(source: str) -> Iterator[str]:
    """Yield the functions that build a path of what is not constant, or open one; ``<module>`` for what is outside."""
    tree = ast.parse(source)
    names = Names.of(tree)
    has_paths = any(name.startswith("pathlib.") for name in names.origins.values())
    for function, paths, node in _walk(tree, "<module>", frozenset()):
        if _is_division(node) if has_paths and isinstance(node, ast.BinOp) else _is_call(node, names, paths):
            yield function


def _walk(node: ast.AST, function: str, paths: frozenset[str]) -> Iterator[tuple[str, frozenset[str], ast.expr]]:
    """Yield all expressions, each with its function, and with those of that function's parameters that are paths."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.expr):
            yield function, paths, inner
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _walk(inner, inner.name, paths | _path_parameters(inner))
        else:
            yield from _walk(inner, function, paths)


def _path_parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> frozenset[str]:
    given = (*function.args.args, *function.args.kwonlyargs)
    return frozenset(
        each.arg for each in given if each.annotation is not None and ast.unparse(each.annotation) == "Path"
    )


def _is_call(node: ast.expr, names: Names, paths: frozenset[str]) -> bool:
    if not (isinstance(node, ast.Call) and node.args):
        return False
    called = names.whole(node.func)
    parts = node.args[:1] if called in _OPENING else node.args
    is_method = isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS
    is_known = all(_is_constant(part) or (isinstance(part, ast.Name) and part.id in paths) for part in parts)
    return (is_method or called in _OPENING | _JOINING) and not is_known


def _is_division(node: ast.BinOp) -> bool:
    is_number = isinstance(node.right, ast.BinOp) or (
        isinstance(node.right, ast.Call) and ast.unparse(node.right.func) in {"max", "min", "len", "float"}
    )
    return isinstance(node.op, ast.Div) and not (_is_constant(node.right) or is_number)


def _is_constant(node: ast.expr) -> bool:
    """True for literals, and for names that are written as constants."""
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id.lstrip("_").isupper())
