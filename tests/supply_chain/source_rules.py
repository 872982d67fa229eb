"""What no source of the gateway may do: for each class of faults that model servers have had, a rule that shuts it out.

1. A rule is a question about one node of a syntax tree. Names are followed through imports and their aliases:
   ``np.load``, ``from numpy import load`` and ``import numpy as n; n.load`` are one.
2. A rule has no switch in the sources. Where an exception is right it stands in ``REVIEWED``, with its reason, for one
   module; an entry that has become needless is an error as well.
3. It is a net for mistakes, not for somebody who wants to get around it: what is found by ``getattr`` and a name that
   is put together is not seen.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

CODE_IN_DATA = ("pickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "torch.load", "yaml")
ARCHIVES = ("tarfile", "shutil.unpack_archive", "gzip", "bz2", "lzma")
CODE_IN_TEXT = tuple(f"builtins.{name}" for name in ("eval", "exec", "compile", "__import__"))
TEMPLATES = ("code", "runpy", "jinja2", "string.Template")
SHELLS = ("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pty", "commands")
ONNX_BY_ITSELF = ("onnx.hub", "onnx.version_converter", "onnx.compose", "onnx.external_data_helper", "onnx.reference")
FORMS = (
    *("fastapi.Form", "fastapi.File", "fastapi.UploadFile", "fastapi.params", "multipart", "python_multipart", "cgi"),
    *("starlette.formparsers", "starlette.datastructures.FormData", "starlette.datastructures.UploadFile"),
)
FILES_BY_URL = ("starlette.staticfiles", "starlette.responses.FileResponse", "fastapi.responses.FileResponse")
LOADS_OF_ARRAYS = ("numpy.load", "numpy.lib.npyio", "numpy.lib.format", "numpy.loadtxt", "numpy.genfromtxt")
CLIENTS_THAT_FOLLOW = ("urllib.request", "requests", "httpx", "aiohttp", "urllib3.PoolManager", "urllib3.request")
DOORS_INTO_THE_RUNTIME = {
    *("register_custom_ops_library", "io_binding", "bind_input", "bind_output", "run_with_iobinding"),
    *("bind_ortvalue_input", "bind_ortvalue_output", "ortvalue_from_numpy", "update_inplace", "IOBinding"),
}


@dataclass
class Names:
    """What the names of one module stand for."""

    origins: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, tree: ast.AST) -> "Names":
        """Read the imports, wherever they stand."""
        origins = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                origins |= {alias.asname: alias.name for alias in node.names if alias.asname}
                origins |= {alias.name.split(".")[0]: alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                origins |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        return cls(origins)

    def whole(self, node: ast.AST) -> str:
        """Return ``numpy.load`` for what is written ``np.load``; empty for what is no name."""
        if isinstance(node, ast.Name):
            return self.origins.get(node.id, f"builtins.{node.id}")
        if isinstance(node, ast.Attribute):
            inner = self.whole(node.value)
            return f"{inner}.{node.attr}" if inner else ""
        return ""

    def mentioned(self, node: ast.AST) -> list[str]:
        """Return the whole names that a node mentions or imports."""
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            return [f"{node.module}.{alias.name}" for alias in node.names]
        return [self.whole(node)]


Rule = Callable[[ast.AST, Names], bool]


def never(*banned: str) -> Rule:
    """Make a rule against these names, and against whatever is inside them."""

    def breaks(node: ast.AST, names: Names) -> bool:
        return any(name == word or name.startswith(f"{word}.") for name in names.mentioned(node) for word in banned)

    return breaks


def never_an_attribute(banned: set[str]) -> Rule:
    """Make a rule against these attributes, of whatever, and against their names as imports or texts."""

    def breaks(node: ast.AST, names: Names) -> bool:
        if isinstance(node, ast.Constant):
            return node.value in banned
        return isinstance(node, ast.Attribute | ast.ImportFrom) and any(
            name.rsplit(".", 1)[-1] in banned for name in [getattr(node, "attr", ""), *names.mentioned(node)]
        )

    return breaks


def is_a_shell(node: ast.AST, names: Names) -> bool:
    """True for ``shell=`` with anything but False, and for a command that is one text."""
    if never(*SHELLS)(node, names):
        return True
    if not isinstance(node, ast.Call):
        return False
    is_child = names.whole(node.func).startswith(("subprocess.", "asyncio.create_subprocess"))
    is_text = is_child and bool(node.args) and isinstance(node.args[0], ast.JoinedStr | ast.Constant)
    shell = argument(node, "shell")
    return is_text or names.whole(node.func) == "asyncio.create_subprocess_shell" or not is_false(shell, missing=True)


def loads_external_data(node: ast.AST, names: Names) -> bool:
    """True for ``onnx.load`` that does not say ``load_external_data=False``, and for loads that cannot say it."""
    if not isinstance(node, ast.Call):
        return False
    called = names.whole(node.func)
    if called in {"onnx.load", "onnx.load_model"}:
        return not is_false(argument(node, "load_external_data"), missing=False)
    return False


def makes_a_session_of_bytes(node: ast.AST, names: Names) -> bool:
    """True for a session of anything but ``str(path)``: bytes may be in another format, which has another parser."""
    if not (isinstance(node, ast.Call) and names.whole(node.func).endswith("InferenceSession")):
        return False
    first = node.args[0] if node.args else None
    return not (isinstance(first, ast.Call) and names.whole(first.func) == "builtins.str")


def unpickles_arrays(node: ast.AST, names: Names) -> bool:
    """True for numpy's readers, which parse Python, and for ``allow_pickle`` that is not False."""
    if isinstance(node, ast.Call) and not is_false(argument(node, "allow_pickle"), missing=True):
        return True
    return never(*LOADS_OF_ARRAYS)(node, names)


def unpacks(node: ast.AST, names: Names) -> bool:
    """True for archives, and for members of one written out under their own names."""
    is_extraction = isinstance(node, ast.Attribute) and node.attr in {"extract", "extractall", "_extract_member"}
    return is_extraction or never(*ARCHIVES)(node, names)


def decides_on_a_url(node: ast.AST, _: Names) -> bool:
    """True for ``request.url`` and ``base_url``: the Host header is in them, and so in what they say is the path."""
    return (
        isinstance(node, ast.Attribute)
        and node.attr in {"url", "base_url"}
        and isinstance(node.value, ast.Name)
        and node.value.id in {"request", "connection", "websocket"}
    )


def reads_a_form(node: ast.AST, names: Names) -> bool:
    """True for ``request.form()`` and for what parses multipart bodies."""
    is_form = isinstance(node, ast.Attribute) and node.attr == "form" and names.whole(node.value) == "builtins.request"
    return is_form or never(*FORMS)(node, names)


def follows_redirects(node: ast.AST, names: Names) -> bool:
    """True for clients that go where an answer sends them, and for a router that sends callers somewhere else."""
    if isinstance(node, ast.Call):
        if not is_false(argument(node, "follow_redirects"), missing=True):
            return True
        if names.whole(node.func) == "fastapi.FastAPI":
            return not is_false(argument(node, "redirect_slashes"), missing=False)
    return never(*CLIENTS_THAT_FOLLOW)(node, names)


def opens_a_library(node: ast.AST, names: Names) -> bool:
    """True for ``dlopen`` of anything but this process, and for imports by a name that is no constant."""
    if not isinstance(node, ast.Call):
        return False
    called = names.whole(node.func)
    if called in {"ctypes.CDLL", "ctypes.PyDLL", "ctypes.cdll.LoadLibrary"}:
        return not (node.args and isinstance(node.args[0], ast.Constant))
    return called == "importlib.import_module" and not (node.args and isinstance(node.args[0], ast.Constant))


def argument(call: ast.Call, name: str) -> ast.expr | None:
    """Return the keyword argument, or None."""
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def is_false(value: ast.expr | None, *, missing: bool) -> bool:
    """True for the constant False; where there is none, what is said of that."""
    return missing if value is None else isinstance(value, ast.Constant) and value.value is False


RULES: dict[str, Rule] = {
    "no code in data": never(*CODE_IN_DATA),
    "no code in text": never(*CODE_IN_TEXT, *TEMPLATES),
    "no shell": is_a_shell,
    "no arrays that are objects": unpickles_arrays,
    "no archives": unpacks,
    "no external data by onnx": loads_external_data,
    "no onnx that fetches, converts or merges": never(*ONNX_BY_ITSELF),
    "no session of bytes": makes_a_session_of_bytes,
    "no library, binding or pointer given to the runtime": never_an_attribute(DOORS_INTO_THE_RUNTIME),
    "no library by name": opens_a_library,
    "no decision on a URL that holds a Host": decides_on_a_url,
    "no forms": reads_a_form,
    "no files by URL": never(*FILES_BY_URL),
    "no redirects": follows_redirects,
    "no messages out of JSON": never("google.protobuf.json_format", "google.protobuf.text_format"),
}

REVIEWED = {
    ("registry/inspection/dense.py", "no external data by onnx"): "in the child, of a file whose locations the scan has"
    " read: each names a file of the same version, in a folder that holds nothing else",
    ("registry/inspection/trial.py", "no session of bytes"): "a constant, which warms the runtime up",
    ("registry/inspection/__main__.py", "no library by name"): "a program that the parent names, by a constant",
    ("gateway/traces.py", "no archives"): "reads a context out of two headers that have been checked; no archive",
    ("gateway/forerunner.py", "no library by name"): "names out of a constant table, before any worker is there",
    ("registry/inspection/forerunner.py", "no library by name"): "names out of a constant table, before any request",
    (
        "registry/foreign_run.py",
        "no library, binding or pointer given to the runtime",
    ): "values over arrays of ours, with the signature's types; no address is handed over, and nothing is bound",
    (
        "gateway/rpc/management.py",
        "no messages out of JSON",
    ): "writes answers, out of what we made; never reads anything,"
    " and no message has an Any, the one kind that nests without end",
    (
        "gateway/web/console/templates.py",
        "no code in text",
    ): "jinja2, of files of the package only: autoescape is always"
    " on, and nothing that came from anybody is read as a template",
}


def find(source: str) -> Iterator[tuple[str, int]]:
    """Yield which rules a source breaks, and in which lines."""
    tree = ast.parse(source)
    names = Names.of(tree)
    for node in ast.walk(tree):
        for rule, breaks in RULES.items():
            if breaks(node, names):
                yield rule, getattr(node, "lineno", 0)
