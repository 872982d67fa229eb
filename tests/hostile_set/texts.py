"""Names that would break a log, a database, a terminal or a reader, and texts that nobody has to show."""

from collections.abc import Iterator
from functools import partial

from onnx import ModelProto

from tests.hostile_set.case import ANSWERED, FileCase, feed, refused, taken
from tests.support import models
from tests.support.hostile_files import changed, renamed

_NAMES, _TEXTS = "names of tensors", "texts besides"
_MISNAMED = ("422 invalid_tensor_name",)
_BAD = {
    "none": "",
    "a line feed": "x\n",
    "a bell": "x\a",
    "an escape": "\x1b]0;title\x07",
    "a text that runs from right to left": "x\u202ey",
    "a mark of byte order": "\ufeffx",
    "a line separator": "x\u2028y",
    "257 bytes": "x" * 257,
    "129 letters of two bytes": "ä" * 129,
}
_GOOD = {
    "256 bytes": "x" * 256,
    "letters of two bytes": "ä" * 100,
    "quotation marks and braces": "\"'{}[]<>&%s\\",
    "a path": "../../etc/passwd",
    "a word that JavaScript knows": "__proto__",
    "a statement": "'; DROP TABLE models; --",
}
_ANYTHING = "\x1b[31m\0\n{}%s\u202e"


def cases() -> Iterator[FileCase]:
    """Yield names that are refused, names that are taken, and texts that nobody reads."""
    for what, name in _BAD.items():
        yield refused(_NAMES, what, renamed(name), _MISNAMED)
    yield refused(_NAMES, "bytes that are not UTF-8", not_text, _MISNAMED)
    for what, name in _GOOD.items():
        yield taken(_NAMES, what, renamed(name), feed({name: [[1.0, 2.0, 3.0, 4.0]]}, *ANSWERED))
    for field in ("producer_name", "producer_version", "domain", "doc_string"):
        yield taken(_TEXTS, field, changed(partial(_say, field)), feed([[1.0, 2.0, 3.0, 4.0]], *ANSWERED))
    yield taken(_TEXTS, "a mebibyte of properties", properties, feed([[1.0, 2.0, 3.0, 4.0]], *ANSWERED))
    yield taken(_TEXTS, "settings of the runtime", settings, feed([[1.0, 2.0, 3.0, 4.0]], *ANSWERED))
    yield refused(
        _TEXTS, "an operator of two lines", changed(lambda source: setattr(source.graph.node[0], "op_type", "A\nB"))
    )
    yield refused(
        _TEXTS,
        "a domain of a mebibyte",
        changed(lambda source: setattr(source.graph.node[0], "domain", "d" * (1 << 20))),
    )


def not_text() -> bytes:
    """A linear model whose input's name is no text."""
    made = renamed("qqqqqqqq")()
    return made.SerializeToString(deterministic=True).replace(b"qqqqqqqq", b"q\xff\xfe\x80qqqq")


def _say(field: str, source: ModelProto) -> None:
    setattr(source, field, _ANYTHING)


def properties() -> ModelProto:
    """A thousand properties of a kibibyte."""
    made = models.linear()
    for number in range(1000):
        made.metadata_props.add(key=f"{_ANYTHING}{number}", value=_ANYTHING * 100)
    return made


def settings() -> ModelProto:
    """What a runtime takes its settings from, if it is told to by a variable."""
    made = models.linear()
    text = '{"session_options": {"inter_op_num_threads": 4096, "enable_profiling": 1, "log_severity_level": 0}}'
    made.metadata_props.add(key="ort_config", value=text)
    return made
