"""From tables to a ``Program``: what the fields of a .pte file mean, by number.

    Program -> methods (execution plans) -> values (tensors, lists, numbers), instructions, planned arenas

Numbers of fields and of the members of unions are those of program.fbs of ExecuTorch, schema 12. An instruction
names values of every kind; here it is left with its tensors, lists opened. Whatever points at something by number is
checked here, so that everything behind may index.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from memprof.base.errors import InputError, LimitError
from memprof.importers.flatbuffers import MAX_TABLES, Flatbuffer, Table
from memprof.ir.program import Content, Program, ProgramOperator, ProgramTensor, Subgraph
from memprof.ir.types import MAX_RANK, TensorType

WHAT = "an ExecuTorch program"
MAIN = "forward"
MOVE, JUMP, FREE, DELEGATE = "executorch.move", "executorch.jump_if_false", "executorch.free", "delegate"

_HINT = "Export or download the program again."
_IDENTIFIER = b"ET"
_INT, _BOOL, _TENSOR, _LISTS = 2, 3, 5, frozenset({10, 11})
_EXTERNAL = 1
_UNBOUND = 2

_DTYPES: Mapping[int, tuple[str, str | None]] = MappingProxyType(
    {
        0: ("BYTE", "uint8"),
        1: ("CHAR", "int8"),
        2: ("SHORT", "int16"),
        3: ("INT", "int32"),
        4: ("LONG", "int64"),
        5: ("HALF", "float16"),
        6: ("FLOAT", "float32"),
        7: ("DOUBLE", "float64"),
        9: ("COMPLEXFLOAT", "complex64"),
        10: ("COMPLEXDOUBLE", "complex128"),
        11: ("BOOL", "bool"),
        12: ("QINT8", "int8"),
        13: ("QUINT8", "uint8"),
        14: ("QINT32", "int32"),
        15: ("BFLOAT16", "bfloat16"),
        16: ("QUINT4X2", "uint4"),
        23: ("FLOAT8E5M2", "float8e5m2"),
        24: ("FLOAT8E4M3FN", "float8e4m3fn"),
        25: ("FLOAT8E5M2FNUZ", "float8e5m2fnuz"),
        26: ("FLOAT8E4M3FNUZ", "float8e4m3fnuz"),
        27: ("UINT16", "uint16"),
        28: ("UINT32", "uint32"),
        29: ("UINT64", "uint64"),
    }
)
"""Element types by number: as ExecuTorch names them, and as memprof does."""


_ARGUMENTS: Mapping[str, Mapping[int, str]] = MappingProxyType(
    {"aten.convolution.out": MappingProxyType({6: "transposed", 8: "groups"})}
)
"""Operators whose numbers say more than their tensors: position among the arguments, and name."""


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor and where its method's plan puts it; the home is -1 where the plan leaves it out."""

    tensor: ProgramTensor
    home: int
    offset: int


def read_program(file: Flatbuffer) -> Program:
    """Return what a .pte file holds, the method ``forward`` first.

    An operator's inputs are the tensors it names, in its order; its outputs those that it surely writes, listed last
    by ExecuTorch's exporter, so that they are among the inputs too. Its options are numbers among its arguments, by
    the name that the operator's schema gives them; a jump's ``target`` is the operator it leads to.

    Raises:
        InputError: It is none, or points at what does not exist.
        LimitError: It asks for more than a safety limit allows.
    """
    if file.size < 8 or file.at(4, 2) != _IDENTIFIER:
        raise InputError("This is not an ExecuTorch program: it does not begin like one.", "Name a .pte file.")
    root = file.table(file.uint32(0))
    methods = [_method(table) for table in root.children(1)]
    if not methods:
        raise InputError("This ExecuTorch program holds no method.", _HINT)
    methods.sort(key=lambda method: method[0].name != MAIN)
    placed = [tensor for _, tensors, _ in methods for tensor in tensors]
    return Program(
        subgraphs=tuple([subgraph for subgraph, _, _ in methods]),
        file_bytes=file.size,
        offsets=tuple([each.offset if each.home >= 0 else -1 for each in placed]),
        homes=tuple([each.home for each in placed]),
        arenas=tuple([arenas for _, _, arenas in methods]),
        signatures={subgraph.name: i for i, (subgraph, _, _) in enumerate(methods)},
    )


def _method(table: Table) -> tuple[Subgraph, list[_Tensor], tuple[int, ...]]:
    """Return a method, where its tensors are, and the bytes of its arenas."""
    arenas = table.int64s(8)
    if arenas and min(arenas) < 0:
        raise InputError(f"An arena of this program has {min(arenas)} bytes.", _HINT)
    values = _Values(arenas)
    for number, value in enumerate(table.children(2)):
        values.add(number, value)
    values.check_lists()
    operators = [(_name(each), each.text(1)) for each in table.children(6)]
    delegates = [each.text(0) or "unknown" for each in table.children(7)]
    calls = _Calls(values, [_full_name(*each) for each in operators], delegates)
    instructions: list[ProgramOperator] = []
    for chain in table.children(5):
        first = len(instructions)
        instructions += [calls.read(each, first) for each in chain.children(2)]
    for number, operator in enumerate(instructions):
        if operator.op == JUMP and not 0 <= operator.options["target"] <= len(instructions):
            raise _missing("instruction", number, f"instruction {operator.options['target']}")
    subgraph = Subgraph(
        name=table.text(0),
        tensors=tuple([each.tensor for each in values.tensors]),
        operators=tuple(instructions),
        inputs=tuple(values.tensors_of(table.int32s(3) or (), "list of inputs", 0)),
        outputs=tuple(values.tensors_of(table.int32s(4) or (), "list of outputs", 0)),
    )
    return subgraph, values.tensors, arenas


class _Values:
    """The values of a method: tensors by number, and what each value stands for.

    Args:
        arenas: Bytes of the method's arenas.
    """

    def __init__(self, arenas: tuple[int, ...]) -> None:
        self.tensors: list[_Tensor] = []
        self._arenas = arenas
        self._names: set[str] = set()
        self._tensor_of: dict[int, int] = {}
        self._lists: dict[int, tuple[int, ...]] = {}
        self._numbers: dict[int, int] = {}
        self._count = 0
        self._opened = 0

    def add(self, number: int, value: Table) -> None:
        """Add the next value."""
        self._count = number + 1
        kind = value.uint8(0)
        content = value.child(1)
        if content is None:
            return
        if kind == _TENSOR:
            self._tensor_of[number] = len(self.tensors)
            self.tensors.append(self._tensor(number, content))
        elif kind in _LISTS:
            self._lists[number] = content.int32s(0) or ()
        elif kind in (_INT, _BOOL):
            self._numbers[number] = content.uint8(0) if kind == _BOOL else content.int64(0)

    def number(self, value: int) -> int | None:
        """Return the number or truth that a value is, ``None`` if it is neither."""
        return self._numbers.get(value)

    def check_lists(self) -> None:
        """Refuse a list that names what does not exist; -1 is none."""
        for number, items in self._lists.items():
            for item in items:
                if not -1 <= item < self._count:
                    raise _missing("list", number, f"value {item}")

    def tensors_of(self, numbers: Iterable[int], what: str, which: int) -> Iterator[int]:
        """Yield the tensors among values, lists opened."""
        for number in numbers:
            if not 0 <= number < self._count:
                raise _missing(what, which, f"value {number}")
            if number in self._tensor_of:
                yield self._tensor_of[number]
            else:
                items = self._lists.get(number, ())
                self._opened += len(items)
                if self._opened > MAX_TABLES:
                    raise LimitError(f"The lists of this program name more than {MAX_TABLES} tensors.")
                yield from [self._tensor_of[item] for item in items if item in self._tensor_of]

    def _tensor(self, number: int, table: Table) -> _Tensor:
        sizes = table.int32s(2) or ()
        if len(sizes) > MAX_RANK:
            raise LimitError(f"Value {number} has {len(sizes)} dimensions; up to {MAX_RANK} are possible.")
        more = table.child(9)
        name = (more.text(1) if more is not None else "") or f"value_{number}"
        while name in self._names:
            name = f"{name}#{number}"
        self._names.add(name)
        code = table.uint8(0)
        dtype, ours = _DTYPES.get(code, (f"TYPE_{code}", None))
        is_open = table.uint8(8) == _UNBOUND
        shape = tuple([f"{name}[{axis}]" if is_open or size < 0 else size for axis, size in enumerate(sizes)])
        home, offset = self._place(number, table.child(6))
        has_bytes = table.uint32(5) > 0 or (more is not None and more.uint8(2) == _EXTERNAL)
        is_external = more is not None and more.uint8(2) == _EXTERNAL
        content = Content.NONE if not has_bytes else Content.BEHIND if is_external else Content.INSIDE
        tensor = ProgramTensor(
            name=name,
            type=TensorType(ours, shape),
            dtype=dtype,
            content=content,
            is_variable=has_bytes and home >= 0,
        )
        if home >= 0 and offset + (tensor.type.size_bytes or 0) > self._arenas[home]:
            raise InputError(f"The plan puts {name} behind the end of arena {home}.", _HINT)
        return _Tensor(tensor, home, offset)

    def _place(self, number: int, table: Table | None) -> tuple[int, int]:
        if table is None:
            return -1, -1
        home = table.uint32(0)
        if not 0 < home < len(self._arenas):
            raise _missing("value", number, f"arena {home}")
        return home, table.uint32(1) | table.uint32(2) << 32


@dataclass(frozen=True, slots=True)
class _Calls:
    """What instructions refer to by number."""

    values: _Values
    operators: Sequence[str]
    delegates: Sequence[str]

    def read(self, instruction: Table, first: int) -> ProgramOperator:
        """Return an instruction; ``first`` is the number of its chain's first one."""
        kind, call = instruction.uint8(0), instruction.child(1)
        if call is None or kind not in _INSTRUCTIONS:
            raise InputError(f"This program holds an instruction of kind {kind}, which does not exist.", _HINT)
        if kind == 1:
            return self._kernel(call)
        if kind == 2:
            backend = self._at(self.delegates, call.int32(0), "delegate")
            return ProgramOperator(op=f"{DELEGATE}.{backend}", inputs=self._tensors(call), outputs=())
        if kind == 4:
            condition = tuple(self.values.tensors_of((call.int32(0),), "jump", 0))
            return ProgramOperator(op=JUMP, inputs=condition, outputs=(), options={"target": first + call.int32(1)})
        given = (call.int32(0), call.int32(1)) if kind == 3 else (call.int32(0),)
        tensors = tuple(self.values.tensors_of(given, "instruction", first))
        return ProgramOperator(op=_INSTRUCTIONS[kind], inputs=tensors, outputs=tensors[1:])

    def _kernel(self, call: Table) -> ProgramOperator:
        op = self._at(self.operators, call.int32(0), "operator")
        numbers = call.int32s(1) or ()
        tensors = self._tensors(call)
        last = tuple(self.values.tensors_of(numbers[-1:], "call", 0))
        named = {name: numbers[i] for i, name in _ARGUMENTS.get(op, {}).items() if i < len(numbers)}
        options = {name: known for name, i in named.items() if (known := self.values.number(i)) is not None}
        return ProgramOperator(op=op, inputs=tensors, outputs=last, options=options)

    def _tensors(self, call: Table) -> tuple[int, ...]:
        return tuple(self.values.tensors_of(call.int32s(1) or (), "call", 0))

    def _at(self, names: Sequence[str], number: int, what: str) -> str:
        if not 0 <= number < len(names):
            raise _missing("call", 0, f"{what} {number}")
        return names[number]


_INSTRUCTIONS: Mapping[int, str] = MappingProxyType({1: "", 2: "", 3: MOVE, 4: JUMP, 5: FREE})


def _name(operator: Table) -> str:
    return operator.text(0) or "unknown"


def _full_name(name: str, overload: str) -> str:
    dotted = name.replace("::", ".")
    return f"{dotted}.{overload}" if overload else dotted


def _missing(what: str, number: int, target: str) -> InputError:
    return InputError(f"The {what} {number} of this program points at {target}, which does not exist.", _HINT)
