"""The rules that a model's bytes must keep before any ONNX library sees them.

1. At most 2 GiB - 1, of known top-level fields, with exactly one graph.
2. At most 500,000 messages, nested at most 64 deep, and 8 million fields: a parser takes up to 250 times their bytes.
3. At most 50,000 nodes, as written and with every call of a function expanded; no function calls itself.
4. At most 1,024 inputs and outputs that a caller has to do with, their names of 1 to 256 bytes of printable UTF-8.
5. No tree of an ensemble deeper than 4,000 branches.
6. No more than 32 dimensions; every tensor's data as long as its dimensions say, in one place, in the file itself or
   in a listed file of the same version (``tensors``).
7. Operators of the standard domains, of the runtime's contributed one, and of the model's own functions; none that
   names a file (``operators``).
8. The names of operators and functions are at most 256 bytes of printable UTF-8. Other texts may be anything; whoever
   shows them (``graph``) makes them text first.

The walk is in place: it keeps counts and operator names, never a message. It is the first code to see hostile bytes, so
its own cost is bounded by rules 1 and 2.

Source of the numbers: onnx.proto.
"""

from collections.abc import Mapping

from registry.errors import InvalidArtifact
from registry.inspection.expansion import Body, Operator, check_expansion
from registry.inspection.limits import WireLimits
from registry.inspection.operators import check_operators, shown
from registry.inspection.schema import MESSAGES, MODEL_FIELDS
from registry.inspection.tensors import EXTERNAL_DATA, Tensor
from registry.inspection.trees import TREE_OPERATORS, check_trees
from registry.inspection.wire import LENGTH, VARINT, Bytes, Tally, fields, malformed, varints
from registry.names import quoted

_GRAPH = 7
_VALUE_NAME, _SHAPE_DIM, _SPARSE_DIMS = 1, 1, 3
_INITIALIZER, _INPUT, _OUTPUT, _SPARSE_INITIALIZER = 5, 11, 12, 15
_ATTRIBUTE, _OP_TYPE, _DOMAIN, _OVERLOAD = 5, 4, 7, 8
_FUNCTION_NAME, _FUNCTION_DOMAIN, _FUNCTION_OVERLOAD = 1, 10, 13

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def scan(data: Bytes, files: Mapping[str, int], limits: WireLimits | None = None) -> None:
    """Hold a serialised ModelProto against the rules above.

    Args:
        data: the whole file, preferably mapped.
        files: the names and sizes in bytes of the files that external data may name.
        limits: the numbers in the rules.

    Raises:
        InvalidArtifact: ``invalid_model``, ``too_complex``, ``unsupported_signature``, ``invalid_tensor_name``,
            ``external_data`` or ``unsupported_operator``.
    """
    _Scan(data, files, limits or WireLimits()).run()


class _Scan:
    def __init__(self, data: Bytes, files: Mapping[str, int], limits: WireLimits) -> None:
        self._data = data
        self._files = files
        self._limits = limits
        self._tally = Tally(limits.fields)
        self._messages = 0
        self._nodes = 0
        self._main = self._body = Body()
        self._functions: dict[Operator, Body] = {}
        self._visits = {
            "GraphProto": self._graph,
            "NodeProto": self._node,
            "FunctionProto": self._function,
            "TensorProto": self._tensor,
            "SparseTensorProto": self._sparse_tensor,
            "TensorShapeProto": self._shape,
        }

    def run(self) -> None:
        if len(self._data) > self._limits.size_bytes:
            raise InvalidArtifact("too_complex", f"an ONNX file has at most {self._limits.size_bytes} bytes")
        graphs = 0
        for number, wire, begin, end in fields(self._data, 0, len(self._data), self._tally):
            if number not in MODEL_FIELDS:
                raise InvalidArtifact("invalid_model", f"the file is not an ONNX model: it has a field number {number}")
            graphs += number == _GRAPH
            self._enter("ModelProto", number, wire, begin, end, 1)
            if number == _GRAPH:
                self._interface(begin, end)
        if graphs != 1:
            raise InvalidArtifact("invalid_model", f"the file is not an ONNX model: it has {graphs} graphs")
        for body in (self._main, *self._functions.values()):
            check_operators(body, self._functions)
        check_expansion(self._main, self._functions, limit=self._limits.nodes)

    def _enter(self, kind: str, number: int, wire: int, begin: int, end: int, depth: int) -> None:
        """Walk the message in this field, if it holds one."""
        child = MESSAGES[kind].get(number)
        if child is None:
            return
        if wire != LENGTH:
            raise malformed(begin)
        self._messages += 1
        if self._messages > self._limits.messages or depth > self._limits.depth:
            raise InvalidArtifact(
                "too_complex",
                f"the model has more than {self._limits.messages} parts, or parts nested deeper than "
                f"{self._limits.depth}",
            )
        visit = self._visits.get(child)
        if visit is not None:
            visit(begin, end, depth)
        else:
            self._other(child, begin, end, depth)

    def _other(self, kind: str, begin: int, end: int, depth: int) -> None:
        is_leaf = kind not in MESSAGES
        for number, wire, start, stop in fields(self._data, begin, end, self._tally):
            if not is_leaf:
                self._enter(kind, number, wire, start, stop, depth + 1)

    def _graph(self, begin: int, end: int, depth: int) -> None:
        for number, wire, start, stop in fields(self._data, begin, end, self._tally):
            self._enter("GraphProto", number, wire, start, stop, depth + 1)

    def _node(self, begin: int, end: int, depth: int) -> None:
        self._nodes += 1
        if self._nodes > self._limits.nodes:
            raise InvalidArtifact("too_complex", f"the model has more than {self._limits.nodes} nodes")
        names = {_OP_TYPE: b"", _DOMAIN: b"", _OVERLOAD: b""}
        attributes = []
        for number, wire, start, stop in fields(self._data, begin, end, self._tally):
            if number == _ATTRIBUTE:
                attributes.append((start, stop))
                self._enter("NodeProto", number, wire, start, stop, depth + 1)
            elif number in names and wire == LENGTH:
                names[number] = self._name(start, stop)
            else:
                self._enter("NodeProto", number, wire, start, stop, depth + 1)
        self._body.add((_domain(names[_DOMAIN]), names[_OP_TYPE], names[_OVERLOAD]))
        if names[_OP_TYPE] in TREE_OPERATORS:
            check_trees(self._data, attributes, self._tally, limit=self._limits.tree_depth)

    def _function(self, begin: int, end: int, depth: int) -> None:
        self._body = body = Body()
        names = {_FUNCTION_NAME: b"", _FUNCTION_DOMAIN: b"", _FUNCTION_OVERLOAD: b""}
        for number, wire, start, stop in fields(self._data, begin, end, self._tally):
            if number in names and wire == LENGTH:
                names[number] = self._name(start, stop)
            else:
                self._enter("FunctionProto", number, wire, start, stop, depth + 1)
        self._body = self._main
        operator = (_domain(names[_FUNCTION_DOMAIN]), names[_FUNCTION_NAME], names[_FUNCTION_OVERLOAD])
        if operator in self._functions:
            raise InvalidArtifact("invalid_model", f"the model defines its function {shown(operator)} twice")
        self._functions[operator] = body

    def _tensor(self, begin: int, end: int, depth: int) -> None:
        tensor = Tensor()
        for field in fields(self._data, begin, end, self._tally):
            number, wire, start, stop = field
            tensor.take(self._data, field, max_rank=self._limits.rank)
            self._enter("TensorProto", number, wire, start, stop, depth + 1)
            if number == EXTERNAL_DATA:
                tensor.take_entry(self._data, start, stop, self._tally)
        tensor.check(self._files)

    def _sparse_tensor(self, begin: int, end: int, depth: int) -> None:
        rank = 0
        for field in fields(self._data, begin, end, self._tally):
            number, wire, start, stop = field
            if number == _SPARSE_DIMS and wire in (VARINT, LENGTH):
                for _ in varints(self._data, field):
                    rank += 1
                    self._check_rank(rank)
            self._enter("SparseTensorProto", number, wire, start, stop, depth + 1)

    def _shape(self, begin: int, end: int, depth: int) -> None:
        rank = 0
        for number, wire, start, stop in fields(self._data, begin, end, self._tally):
            rank += number == _SHAPE_DIM
            self._check_rank(rank)
            self._enter("TensorShapeProto", number, wire, start, stop, depth + 1)

    def _check_rank(self, rank: int) -> None:
        if rank > self._limits.rank:
            raise InvalidArtifact("invalid_model", f"a tensor has more than {self._limits.rank} dimensions")

    def _interface(self, begin: int, end: int) -> None:
        """Check what callers will have to do with: the main graph's own inputs and outputs."""
        count = 0
        for number, _, start, stop in fields(self._data, begin, end, self._tally):
            if number in (_INPUT, _OUTPUT):
                count += 1
                self._check_tensor_name(start, stop)
            elif number in (_INITIALIZER, _SPARSE_INITIALIZER):
                count -= 1  # older files list every initialiser as an input too
        if count > self._limits.interface:
            raise InvalidArtifact(
                "unsupported_signature",
                f"the model has more than {self._limits.interface} inputs and outputs: join them into fewer tensors",
            )

    def _check_tensor_name(self, begin: int, end: int) -> None:
        name = b""
        for number, wire, start, stop in fields(self._data, begin, end, self._tally):
            if number == _VALUE_NAME and wire == LENGTH:
                name = self._data[start : min(stop, start + self._limits.name_bytes + 1)]
        if not 0 < len(name) <= self._limits.name_bytes or not _is_printable(name):
            text = name.decode("utf-8", "replace")
            raise InvalidArtifact(
                "invalid_tensor_name",
                f"an input or output is called {quoted(text)}: names are 1 to {self._limits.name_bytes} bytes of "
                "printable UTF-8",
            )

    def _name(self, begin: int, end: int) -> bytes:
        name = self._data[begin : min(end, begin + self._limits.name_bytes + 1)]
        if len(name) > self._limits.name_bytes or not _is_printable(name):
            text = name.decode("utf-8", "replace")
            raise InvalidArtifact(
                "invalid_model",
                f"an operator's name or domain is {quoted(text)}: they are at most {self._limits.name_bytes} bytes of "
                "printable UTF-8",
            )
        return name


def _is_printable(octets: bytes) -> bool:
    text = octets.decode("utf-8", "replace")
    return text.isprintable() and _REPLACEMENT not in text


def _domain(name: bytes) -> bytes:
    return b"" if name == b"ai.onnx" else name
