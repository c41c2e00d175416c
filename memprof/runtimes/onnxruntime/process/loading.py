"""What creating a session takes of the heap and leaves there: a file's weights on their way to the kernels.

    read      a block of up to 4 MiB; each weight as text of the file, which doubles from 50 MB on
    convert   each weight as a tensor, its text given back
    compute   a value that follows from weights alone
    fold      a weight that a fusion computes: a copy to compute with, its text, a tensor
    reorder   a filter in a blocked layout: the same, and the block in between; shared filters once
    drop      the weights that nothing reads any more
    pack      what kernels keep in a layout of their own; the weight goes with its last reader

The order is that of the file and of the nodes. Found by tracing malloc while onnxruntime 1.32 loads files that hold
their weights; a file whose weights lie in others is read in another way, which is not modelled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from memprof.ir import Graph, Node, Role, TensorType, Value
from memprof.ir.graph import field_of
from memprof.runtimes.onnxruntime.process.arena import Arena
from memprof.runtimes.onnxruntime.process.heap import Heap
from memprof.runtimes.onnxruntime.process.packing import ArenaUse, arena_use, packed_bytes
from memprof.runtimes.onnxruntime.tables import PREPACKED

_BLOCK = 4 * 2**20
_DOUBLES = 50_000_000
_SMALL = 2048  # smaller weights are counted with the graph's objects
_REORDERED = "com.microsoft.nchwc.Conv"
_CHANNELS_LAST = "com.microsoft.QLinearConv"
_MAX_DIGITS = 10
_CAPTURES = field_of(Node, "captures")
_PARAMETER, _CONSTANT = Role.PARAMETER, Role.CONSTANT  # an attribute of an Enum is slow to read

Weights = dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The weights of a session.

    Attributes:
        kept_bytes: Those that stay as tensors.
        packed_bytes: Copies in kernels' own layouts.
        beside_bytes: Those of them that do not lie in the arena, which counts them as held all the same.
        arena: The arena as the session leaves it before it runs.
    """

    kept_bytes: int
    packed_bytes: int
    beside_bytes: int
    arena: Arena


def load(heap: Heap, source: Graph, ran: Graph) -> Loaded:
    """Load a file into ``heap`` as a session does.

    Args:
        heap: The heap.
        source: The graph of the file.
        ran: What the session runs of it.
    """
    given = _weights(source)
    sizes = {value.name: size for value, size in _computed(source)}
    filters = list(_folded(source, {**given, **sizes}))
    own = {name for name, _ in filters}  # other weights from then on
    same = {name: first for name, first in _same(source).items() if name not in own}
    read = {ran.values[i].name for i in _stored(ran).intersection(chain(chain.from_iterable(ran.reads), ran.outputs))}
    wanted = {same.get(name, name): size for name, size in _weights(ran).items() if name in read}
    held = _read(heap, given)
    for name, size in sizes.items():
        given[name] = size
        if name not in same:
            held[name] = heap.take_aligned(size)
    folded = {name: _fold(heap, size) for name, size in filters}
    for name in folded:
        if name in held:
            heap.give(held.pop(name))
    held |= folded
    kept = _reorder(heap, ran, wanted, source, same)
    for name, size in wanted.items():
        if name not in kept:
            kept[name] = held.pop(name) if name in held else _fold(heap, size)
    for address in held.values():
        heap.give(address)
    arena = Arena(heap)
    packed, beside = _pack(arena, source, ran, kept, same)
    kept_bytes = sum(wanted[name] for name in kept)
    return Loaded(kept_bytes=kept_bytes, packed_bytes=packed, beside_bytes=beside, arena=arena)


def held_by_attributes(graph: Graph) -> list[tuple[int, ...]]:
    """Return the ids of the weights that lie in attributes, by node: they are read, copied and kept with it."""
    if not any(map(_CAPTURES, graph.nodes)):  # told natively: nearly all graphs have none
        return []
    return [node.captures for node in graph.nodes if node.captures and not node.bodies]


def _weights(graph: Graph) -> Weights:
    """Return the larger weights by name, in order, but for those in attributes."""
    values, nodes, has_constants = graph.values, graph.nodes, "Constant" in graph.ops
    tables = set(chain.from_iterable(held_by_attributes(graph)))
    wanted = [
        (values[i], size)
        for i, (role, size) in enumerate(zip(graph.roles, graph.value_bytes, strict=True))
        if (role is _PARAMETER or has_constants) and size is not None and size >= _SMALL and i not in tables
    ]
    return {
        value.name: size
        for value, size in wanted
        if value.role is _PARAMETER or (value.producer is not None and nodes[value.producer].op == "Constant")
    }


def _stored(graph: Graph) -> set[int]:
    """Return the ids of what may be a weight: what a file holds, in nodes too."""
    found = {i for i, role in enumerate(graph.roles) if role is _PARAMETER}
    if "Constant" in graph.ops:
        found.update(i for node in graph.nodes if node.op == "Constant" for i in node.writes)
    return found


def _computed(source: Graph) -> Iterator[tuple[Value, int]]:
    """Yield the larger values that are computed from weights alone, in order; weights of 8 bits stay that."""
    left = set[int]()  # follows from what a session does not compute ahead
    if "DequantizeLinear" in source.ops:
        for node in source.nodes:
            if node.op == "DequantizeLinear" or not left.isdisjoint(node.reads):
                left.update(node.writes)
    computed = [i for i, role in enumerate(source.roles) if role is _CONSTANT and i not in left]
    for value in [source.values[i] for i in computed]:  # ids rise with nodes
        size, op = value.type.size_bytes, "" if value.producer is None else source.nodes[value.producer].op
        if op != "Constant" and size is not None and size >= _SMALL:
            yield value, size


def _same(source: Graph) -> dict[str, str]:
    """Return which weights are others: handed on by an Identity, or filled with one number in one shape and type."""
    found: dict[str, str] = {}
    fills: dict[TensorType, str] = {}
    if source.ops.isdisjoint(("Identity", "ConstantOfShape")):
        return found
    for value, _ in _computed(source):
        node = source.nodes[value.producer] if value.producer is not None else None
        if node is not None and node.op == "Identity" and node.inputs[0] is not None:
            first = source.values[node.inputs[0]].name
            found[value.name] = found.get(first, first)
        elif node is not None and node.op == "ConstantOfShape":
            first = fills.setdefault(value.type, value.name)
            if first != value.name:
                found[value.name] = first
    return found


def _read(heap: Heap, weights: Weights) -> Weights:
    block = heap.take(min(_BLOCK, sum(weights.values()) + _SMALL))
    texts = {name: _text(heap, size) for name, size in weights.items()}
    heap.give(block)
    held = {}
    for name, text in texts.items():
        held[name] = heap.take_aligned(weights[name])
        heap.give(text)
    return held


def _text(heap: Heap, size: int) -> int:
    room = size if size <= _DOUBLES else _DOUBLES
    text = heap.take(room + 1)
    while room < size:
        room *= 2
        larger = heap.take(room + 1, written=min(size, room))
        heap.give(text)
        text = larger
    return text


def _folded(source: Graph, weights: Weights) -> Iterator[tuple[str, int]]:
    """Yield the filters of convolutions that swallow a batch normalisation, which are then other weights."""
    if not {"Conv", "BatchNormalization"} <= source.ops:
        return
    readers = Counter(chain.from_iterable(source.reads))
    norms = {node.inputs[0] for node in source.nodes if node.op == "BatchNormalization" and node.inputs}
    for node in source.nodes:
        if node.op == "Conv" and node.writes and node.writes[0] in norms and readers[node.writes[0]] == 1:
            name = _filter(source, node)
            if name in weights:
                yield name, weights[name]


def _fold(heap: Heap, size: int) -> int:
    work = heap.take_aligned(size)
    text = heap.take(size + 1)
    found = heap.take_aligned(size)
    heap.give(text)
    heap.give(work)
    return found


def _reorder(heap: Heap, ran: Graph, wanted: Weights, source: Graph, same: Mapping[str, str]) -> Weights:
    """Return where the filters in a blocked layout lie, by name; those names are numbered as they are made."""
    if _REORDERED not in ran.ops:
        return {}
    filters = [name for node in source.nodes if node.op == "Conv" and (name := _filter(source, node))]
    named = set(filters)
    sized = zip(source.values, source.value_bytes, strict=True)
    sizes = {value.name: size or 0 for value, size in sized if value.name in named}
    before = [sizes[name] for name in filters]
    nodes = [node for node in ran.nodes if "Conv" in node.op and "Transpose" not in node.op]
    blocked: Weights = {}  # its bytes before
    for i, node in enumerate(nodes):
        name = _filter(ran, node)
        name = same.get(name, name)
        if node.op == _REORDERED and name in wanted:
            is_known = wanted[name] in before or len(before) != len(nodes)
            blocked[name] = wanted[name] if is_known else before[i]
    found: Weights = {}
    for name in sorted(blocked, key=_number):
        work = heap.take_aligned(blocked[name])
        block = heap.take(wanted[name])
        text = heap.take(wanted[name] + 1)
        found[name] = heap.take_aligned(wanted[name])
        for address in (text, block, work):
            heap.give(address)
    return found


def _number(name: str) -> int:
    digits = name.rpartition("_")[2]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < _MAX_DIGITS else 0


def _filter(graph: Graph, node: Node) -> str:
    value_id = node.inputs[1] if len(node.inputs) > 1 else None
    return "" if value_id is None else graph.values[value_id].name


def _pack(arena: Arena, source: Graph, ran: Graph, kept: Weights, same: Mapping[str, str]) -> tuple[int, int]:
    """Let kernels keep copies in an arena or beside it; drop from ``kept`` what is not read any more.

    Returns:
        The copies' bytes, and how many of them lie beside the arena.
    """
    if ran.ops.isdisjoint(PREPACKED):
        return 0, 0
    constant = _stored(ran)
    names = {i: same.get(ran.values[i].name, ran.values[i].name) for i in constant}
    inputs = chain.from_iterable([node.inputs for node in ran.nodes])
    readers = Counter([names[i] for i in inputs if i in constant])  # no None is
    total = beside = 0
    packed = set[tuple[str, str, tuple[int, ...]]]()
    for node in _by_age(source, ran):
        for position in PREPACKED.get(node.op, ()):
            value_id = node.inputs[position] if position < len(node.inputs) else None
            if value_id is None or value_id not in constant:
                continue
            name = names[value_id]
            copies = packed_bytes(ran, node, position)
            if (name, node.op, copies) not in packed:  # nodes that read one weight share the copies
                packed.add((name, node.op, copies))
                use = arena_use(ran, node, position)
                _copy(arena, copies, use)
                total += sum(copies)
                beside += 0 if use.is_inside else sum(copies)
            readers[name] -= 1
            if copies and readers[name] == 0 and name in kept:
                arena.heap.give(kept.pop(name))
    return total, beside


def _copy(arena: Arena, copies: Sequence[int], use: ArenaUse) -> None:
    """Take what copies of one weight take, in their order."""
    turned = arena.take(use.before_bytes) if use.before_bytes else None
    for size in copies:
        if use.is_inside:
            arena.take(size)
        else:
            arena.heap.take_aligned(size)
    if use.after_bytes:
        arena.give(arena.take(use.after_bytes))
    if turned is not None:
        arena.give(turned)


def _by_age(source: Graph, ran: Graph) -> list[Node]:
    """Return what packs weights as onnxruntime numbers nodes: those of the file, what it made, its layout last."""
    place = {(node.name, node.op): i for i, node in enumerate(source.nodes) if node.op in PREPACKED}
    packing = [node for node in ran.nodes if node.op in PREPACKED]
    last = len(source.nodes)
    return sorted(packing, key=lambda node: place.get((node.name, node.op), last + (node.op == _CHANNELS_LAST)))
