"""The only door into the graph: importers call a ``GraphBuilder`` once per thing they read.

What it guarantees to everything behind it: nodes come in execution order (a node reads only what already exists),
names of values and of nodes are unique, view chains point backwards, and roles are settled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from memprof.base.errors import InputError
from memprof.ir.graph import Assumption, Attribute, Graph, Node, Role, Unknown, Value
from memprof.ir.types import TensorType

_NO_ATTRIBUTES: Mapping[str, Attribute] = {}
_record = tuple.__new__  # with all fields in order: a quarter of the time of naming them
_INTERMEDIATE, _CONSTANT = Role.INTERMEDIATE, Role.CONSTANT  # an attribute of an Enum is slow to read


class NewValue(NamedTuple):
    """What a node writes. A named tuple, as ``Value`` is.

    Attributes:
        name: Unique in the graph.
        type: Element type and shape.
        view_of: Id of the value whose storage it shares by the meaning of its operation.
        module: Path of the module it belongs to, empty if unknown.
    """

    name: str
    type: TensorType
    view_of: int | None = None
    module: str = ""


class Kind(NamedTuple):
    """What nodes share that differ in names and ids alone.

    Attributes:
        op: Kind of operation.
        type: Type of its one output.
        is_view: Whether its output shares the storage of its first input.
        is_elementwise: See ``Node.is_elementwise``.
        is_foldable: See ``GraphBuilder.add_node``.
        attributes: See ``Node.attributes``.
        version: See ``Node.version``.
        definition: See ``Node.definition``.
    """

    op: str
    type: TensorType
    is_view: bool
    is_elementwise: bool
    is_foldable: bool
    attributes: dict[str, Attribute]
    version: int
    definition: Graph | None


Alike = tuple[Kind, tuple[int, ...], str, str, str]
"""A node of a kind: the ids that it reads, none left out; the name of what it writes; its wished name and its module,
as in ``add_node``."""


class GraphBuilder:
    """Collects a graph in execution order and returns it frozen.

    Examples:
        >>> f4 = TensorType("float32", (1,))
        >>> builder = GraphBuilder("tiny")
        >>> x = builder.add_input("x", f4)
        >>> (y,) = builder.add_node("Relu", [x], [NewValue("y", f4)], is_elementwise=True)
        >>> graph = builder.build(outputs=[y])
        >>> [value.role.value for value in graph.values]
        ['input', 'intermediate']
    """

    def __init__(self, name: str = "", opset: int | None = None) -> None:
        self._name = name
        self._opset = opset
        self._values: list[Value] = []
        self._is_fixed = bytearray()  # by value: a parameter, or computed from such alone
        self._value_names: set[str] = set()
        self._nodes: list[Node] = []
        self._node_names: set[str] = set()
        self._inputs: list[int] = []
        self._unknown: list[Unknown] = []
        self._assumed: list[Assumption] = []

    def add_input(self, name: str, type: TensorType, module: str = "") -> int:  # noqa: A002 - the field's own name
        """Add a value that the caller gives; return its id."""
        value_id = self._add_value(Value(name=name, type=type, role=Role.INPUT, module=module))
        self._inputs.append(value_id)
        return value_id

    def add_parameter(self, name: str, type: TensorType, module: str = "") -> int:  # noqa: A002 - as above
        """Add an initialiser, or a module's parameter or buffer; return its id."""
        return self._add_value(Value(name=name, type=type, role=Role.PARAMETER, module=module))

    def add_capture(self, name: str, type: TensorType) -> int:  # noqa: A002 - as above
        """Add, in a body, a value of the graph around it; return its id here."""
        return self._add_value(Value(name=name, type=type, role=Role.CAPTURE))

    def add_node(  # noqa: PLR0913 - one keyword per field of a Node, each with a default
        self,
        op: str,
        inputs: Sequence[int | None],
        outputs: Iterable[NewValue | None],
        *,
        name: str = "",
        captures: Sequence[int] = (),
        bodies: Sequence[Graph] = (),
        is_elementwise: bool = False,
        is_foldable: bool = True,
        is_malformed: bool = False,
        attributes: Mapping[str, Attribute] = _NO_ATTRIBUTES,
        module: str = "",
        line: str = "",
        version: int = 0,
        definition: Graph | None = None,
    ) -> tuple[int | None, ...]:
        """Add an operation that runs after all added before it; return the ids of its outputs.

        Args:
            op: Kind of operation as its format names it.
            inputs: Ids it reads; ``None`` where an optional input is left out.
            outputs: Values it writes; ``None`` where an optional output is left out.
            name: Wished name; made unique, and made from ``op`` if empty.
            captures: Ids that its bodies read.
            bodies: Graphs that it runs inside itself.
            is_elementwise: See ``Node.is_elementwise``.
            is_foldable: Same inputs, same outputs: false for an operation that draws random numbers.
            is_malformed: See ``Node.is_malformed``.
            attributes: See ``Node.attributes``.
            module: Path of the module it belongs to.
            line: See ``Node.line``.
            version: See ``Node.version``.
            definition: See ``Node.definition``.

        Raises:
            InputError: An output's name is already taken.
        """
        node_id = len(self._nodes)
        reads = [*(i for i in inputs if i is not None), *captures]
        written = self._add_outputs(outputs, self._role_after(reads, is_foldable=is_foldable), node_id, module)
        self._nodes.append(
            Node(
                name=self._unique_node_name(name or f"{op}_{node_id}"),
                op=op,
                inputs=tuple(inputs),
                outputs=written,
                captures=tuple(captures),
                bodies=tuple(bodies),
                is_elementwise=is_elementwise,
                attributes=attributes if isinstance(attributes, dict) else dict(attributes),  # views do not pickle
                module=module,
                line=line,
                version=version,
                definition=definition,
                is_malformed=is_malformed,
            )
        )
        return written

    def add_alike(self, nodes: Iterable[Alike]) -> None:
        """Add nodes that are of few kinds, each when it is taken; ``add_node`` may add others in between.

        Raises:
            InputError: An output's name is already taken.
        """
        values, records, fixed = self._values, self._nodes, self._is_fixed
        value_names, taken = self._value_names, self._node_names
        for kind, inputs, output, name, module in nodes:
            op, of, is_view, is_elementwise, is_foldable, attributes, version, definition = kind
            value_id, node_id = len(values), len(records)
            if output in value_names:
                raise _taken(output)
            value_names.add(output)
            for i in inputs:
                if not fixed[i]:
                    role = _INTERMEDIATE
                    fixed.append(0)
                    break
            else:
                role = _CONSTANT if is_foldable else _INTERMEDIATE
                fixed.append(is_foldable)
            values.append(_record(Value, (output, of, role, node_id, inputs[0] if is_view else None, module)))
            wish = name or f"{op}_{node_id}"
            if wish in taken:
                wish = self._unique_node_name(wish)
            taken.add(wish)
            shared = (is_elementwise, attributes, module, "", version, definition, False)
            records.append(_record(Node, (wish, op, inputs, (value_id,), (), (), *shared)))

    def _add_outputs(
        self, outputs: Iterable[NewValue | None], role: Role, node_id: int, module: str
    ) -> tuple[int | None, ...]:
        """Add what a node writes; a value that names no module of its own belongs to the node's."""
        return tuple(
            [
                None
                if new is None
                else self._add_value(Value(new.name, new.type, role, node_id, new.view_of, new.module or module))
                for new in outputs
            ]
        )

    def _role_after(self, reads: Sequence[int], *, is_foldable: bool) -> Role:
        """Return the role of what a node writes that reads these values."""
        assert not reads or 0 <= min(reads) <= max(reads) < len(self._values), "a node reads what does not exist yet"
        is_constant = is_foldable and all(map(self._is_fixed.__getitem__, reads))
        return Role.CONSTANT if is_constant else Role.INTERMEDIATE

    def add_unknown(self, unknown: Unknown) -> None:
        """Record something that could not be learnt."""
        self._unknown.append(unknown)

    def add_assumption(self, assumption: Assumption) -> None:
        """Record something that was taken otherwise than the source says."""
        self._assumed.append(assumption)

    def build(self, outputs: Iterable[int], elements: Mapping[int, tuple[float, ...]] | None = None) -> Graph:
        """Return the graph.

        Args:
            outputs: Ids of what the caller gets, in order.
            elements: See ``Graph.elements``.
        """
        outputs = tuple(outputs)
        assert all(0 <= i < len(self._values) for i in outputs), "an output id does not exist"
        return Graph(
            name=self._name,
            values=tuple(self._values),
            nodes=tuple(self._nodes),
            inputs=tuple(self._inputs),
            outputs=outputs,
            unknown=tuple(self._unknown),
            assumed=tuple(self._assumed),
            opset=self._opset,
            elements=elements or {},
        )

    def _add_value(self, value: Value) -> int:
        if value.name in self._value_names:
            raise _taken(value.name)
        value_id = len(self._values)
        assert value.view_of is None or 0 <= value.view_of < value_id, "a view must come after what it views"
        self._value_names.add(value.name)
        self._values.append(value)
        self._is_fixed.append(value.role is Role.PARAMETER or value.role is Role.CONSTANT)
        return value_id

    def _unique_node_name(self, wish: str) -> str:
        name = wish
        suffix = len(self._nodes)
        while name in self._node_names:
            name = f"{wish}#{suffix}"
            suffix += 1
        self._node_names.add(name)
        return name


def _taken(name: str) -> InputError:
    return InputError(f"Two tensors of one graph are named {name!r}.", "Export the model again.")
