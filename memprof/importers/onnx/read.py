"""From an .onnx file to a Model: strip, parse, check, expand, bind, build.

    file -> wire (no weights) -> ModelProto -> limits -> functions expanded -> symbols bound -> nodes typed -> Graph

Each arrow is a module of this package; this one holds their order alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types

from memprof.base.errors import InputError, LimitError
from memprof.importers.onnx.ahead import Evaluates, reader_evaluates, runtime_evaluates
from memprof.importers.onnx.assumed import assume_sizes, rate_notes, usual_rates
from memprof.importers.onnx.build import build_graph
from memprof.importers.onnx.facts import FactTable
from memprof.importers.onnx.functions import expand_functions
from memprof.importers.onnx.given import check_given, gives_length
from memprof.importers.onnx.inference import Inference
from memprof.importers.onnx.library import GraphProto, ModelProto, ValueInfoProto
from memprof.importers.onnx.limits import MAX_DISTINCT, USUAL, Room, bodies, check_model
from memprof.importers.onnx.misfits import count_misfits
from memprof.importers.onnx.modules import tidy
from memprof.importers.onnx.node_facts import Context
from memprof.importers.onnx.order import has_insides, sort_model
from memprof.importers.onnx.refit import MOST_NODES, refit
from memprof.importers.onnx.symbols import Bindings, bind
from memprof.importers.onnx.types import TypeTable
from memprof.importers.onnx.unknowns import Causes
from memprof.importers.onnx.wire import read_structure
from memprof.importers.request import Request
from memprof.ir import Assumption, Graph, TensorType
from memprof.ir.model import Model, Once

_REPLACEABLE_IR_VERSION = 4
_CAST = "InsertedPrecisionFreeCast_"
"""How onnxruntime begins the name of what it keeps in float32, of which it knows the shape all the same."""

Source = Callable[[frozenset[str]], Model]
"""What a structure was made from, given the names of values that are to be written there twice."""


def read_onnx(request: Request) -> Model:
    """Read an ONNX model's structure; weights, embedded or external, are not read.

    Args:
        request: The file and its open sizes; an unnamed dimension is ``"TENSOR[AXIS]"``.

    Raises:
        InputError: The file is missing, unreadable or invalid.
        LimitError: It asks for more than a safety limit allows.
        UsageError: A name in ``dims`` or ``inputs`` does not exist, or a shape does not fit.
    """
    proto, digest = parse(request.path, Room(request.max_nodes))
    return to_model(proto, digest, request)


def parse(path: Path, room: Room = USUAL) -> tuple[ModelProto, str]:
    """Return the structure of an ONNX file, checked, and its digest.

    Args:
        path: The file.
        room: How large it may be.

    Raises:
        InputError: The file is missing, unreadable or invalid.
        LimitError: It asks for more than a safety limit allows.
    """
    structure = read_structure(path, room)
    try:
        model = ModelProto.FromString(structure)
        tidy(model.graph)
        digest = hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()
    except DecodeError as error:
        raise _invalid(path) from error
    except MemoryError as error:
        raise LimitError(f"{path} needs more memory than there is.") from error
    return model, digest


def stated_inputs(path: Path) -> Mapping[str, TensorType]:
    """Return the types of an ONNX file's graph inputs as it states them, initialisers left out.

    Raises:
        InputError: The file is missing, unreadable or invalid.
    """
    return _input_types(parse(path)[0].graph, TypeTable())


def to_model(proto: ModelProto, digest: str, request: Request, source: Source | None = None) -> Model:
    """Return a parsed structure as the Model that ``request`` asks for; ``proto`` is changed.

    Args:
        proto: The structure.
        digest: Its digest.
        request: What is asked for.
        source: What onnxruntime made it from: of a value that kept its name onnxruntime knows what it knew then.

    Raises:
        InputError: It is invalid.
        LimitError: It asks for more than a safety limit allows.
        UsageError: A name in ``dims`` or ``inputs`` does not exist, or a shape does not fit.
    """
    try:
        room = Room(request.max_nodes)
        check_model(proto, room)
        sorted_first = sort_model(proto) if has_insides(proto) else None
        expand_functions(proto, room)
        graph_inputs = _inputs_as_bound(proto.graph, request)
        check_given(request.values, graph_inputs)
        notes = (sorted_first.note,) if sorted_first is not None else ()
        build = partial(_build, proto, graph_inputs, request, notes)
        try:
            built = build(request.wished or {})
        except InputError:  # nearly all files are sorted: that costs nothing to find out by building
            sorted_first = sort_model(proto)
            if sorted_first is None:
                raise
            notes = (sorted_first.note,)
            build = partial(_build, proto, graph_inputs, request, notes)
            built = build(request.wished or {})
        is_free = request.wished is None and built.groups and len(proto.graph.node) <= MOST_NODES
        if is_free and count_misfits(built.graph):
            wished = refit(proto, graph_inputs, built.groups, lambda sizes: build(sizes).graph)
            built = build(wished) if wished else built
        built = _at_usual_rates(built, proto, graph_inputs, request, notes)
        replaceable = find_replaceable(proto)
        is_open = built.is_settled or bool(replaceable) or _has_loop(built.graph)
    except DecodeError as error:
        raise _invalid(request.name) from error
    except MemoryError as error:
        raise LimitError(f"{request.name} needs more memory than there is.") from error
    listed = partial(_as_listed, () if sorted_first is None else sorted_first.places)
    ahead = partial(_build_ahead, proto, partial(_Known, None, room, runtime_evaluates, replaceable), listed)
    evaluated = partial(_Known, None, room, reader_evaluates, replaceable)
    folded = Once(partial(_build_ahead, proto, evaluated, listed)) if is_open else None
    return Model(
        path=request.name,
        format="onnx",
        structure_sha256=digest,
        graph=listed(built.graph),
        ahead=Once(ahead if source is None else partial(_build_remembering, ahead, proto, source))
        if is_open or built.goes_beyond
        else None,
        folded=folded,
        wished=built.wished,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Built:
    """A graph that was built, with sizes for what its inputs leave open.

    Attributes:
        graph: The graph.
        groups: The dimensions that were assumed.
        wished: Sizes that were taken instead of usual ones.
        is_settled: Whether any size was settled, by the caller or so.
        goes_beyond: As in ``Context``.
    """

    graph: Graph
    groups: tuple[tuple[str, ...], ...]
    wished: Mapping[str, int]
    is_settled: bool
    goes_beyond: bool


def _build(
    proto: ModelProto,
    graph_inputs: Mapping[str, TensorType],
    request: Request,
    notes: Sequence[Assumption],
    wished: Mapping[str, int],
) -> _Built:
    counted = {name for name in request.values if gives_length(graph_inputs.get(name))}
    assumed = assume_sizes(graph_inputs, {*request.inputs, *counted}, wished)
    inputs = {**_by_axis(graph_inputs, request), **assumed.inputs, **request.inputs}
    request = replace(request, dims={**assumed.dims, **request.dims}, inputs=inputs)
    context = _context(proto, _Known(request, Room(request.max_nodes)))
    context.assumed.update({(note.kind, note.name): note for note in (*assumed.notes, *notes)})
    graph = build_graph(proto.graph, context, Causes(context.types.symbols))
    return _Built(
        graph=graph,
        groups=assumed.groups,
        wished=wished,
        is_settled=request.fixes_sizes,
        goes_beyond=context.goes_beyond or context.inference.goes_beyond,
    )


def _at_usual_rates(
    built: _Built,
    proto: ModelProto,
    graph_inputs: Mapping[str, TensorType],
    request: Request,
    notes: Sequence[Assumption],
) -> _Built:
    """Return what is built at usual rates of sampling, if that leaves less unknown."""
    rates = usual_rates(graph_inputs, request.values) if built.graph.unknown else {}
    if not rates:
        return built
    at_rates = replace(request, values={**request.values, **rates})
    tried = _build(proto, graph_inputs, at_rates, (*notes, *rate_notes(rates)), built.wished)
    return min(built, tried, key=lambda each: len(each.graph.unknown))


def _build_ahead(proto: ModelProto, known: Callable[[], _Known], listed: Callable[[Graph], Graph]) -> Graph:
    """Return what onnxruntime knows of a structure before it runs; see ``ahead``."""
    context = _context(proto, known())
    return listed(build_graph(proto.graph, context, Causes(context.types.symbols)))


def _as_listed(places: Sequence[int], graph: Graph) -> Graph:
    """Return a graph with where the file lists its nodes; not one of expanded functions, which has others."""
    return replace(graph, places=tuple(places)) if places and len(places) == len(graph.nodes) else graph


def _build_remembering(build: Callable[[], Graph], proto: ModelProto, source: Source) -> Graph:
    """Return what onnxruntime knows of a structure that it has made itself: the dump alone tells less.

    What it keeps in 32 bits is named after what was in 16, and has the shape of that where a Cast writes it. Written
    by another operation, it has the shape that follows from what this read: a shape that the file records of the 16
    bits says nothing of it.
    """
    graph = build()
    open_names = {value.name for value in graph.values if not _is_rank_and_names(value.type)}
    if not open_names:
        return graph
    widened = {
        name: name.removeprefix(_CAST)
        for node in proto.graph.node
        if node.op_type != "Cast"
        for name in node.output
        if name in open_names and name.startswith(_CAST)
    }
    made_from = source(frozenset(widened.values()))
    known = made_from.graph if made_from.ahead is None else made_from.ahead()
    types, recorded = TypeTable(), {info.name for info in (*proto.graph.value_info, *proto.graph.output)}
    by_name = {value.name: value.type for value in known.values if _is_rank_and_names(value.type)}
    dtypes = {value.name: value.type.dtype for value in graph.values}
    once = {name: named_again(narrow) for name, narrow in widened.items()}
    remembered = [
        ValueInfoProto(name=name, type=types.to_proto(types.of(dtypes[name], of.shape)))
        for name in sorted(open_names - recorded)
        if (of := by_name.get(once.get(name) or name.removeprefix(_CAST))) is not None
    ]
    proto.graph.value_info.extend(remembered)
    return build() if remembered else graph


def named_again(name: str) -> str:
    """Return the name of a value that is written once more, by a copy of its node: no file records its shape."""
    return f"{name}\0again"  # which no file names so


def _has_loop(graph: Graph) -> bool:
    return "Loop" in graph.ops or any(map(_has_loop, graph.bodies))


def _is_rank_and_names(of: TensorType) -> bool:
    return of.shape is not None and None not in of.shape


@dataclass(frozen=True, slots=True)
class _Known:
    """What counts as known while a graph is built: see ``Context``; without a request, no open size is settled."""

    request: Request | None
    room: Room
    evaluates: Evaluates = reader_evaluates
    replaceable: frozenset[str] = frozenset()


def find_replaceable(proto: ModelProto) -> frozenset[str]:
    """Return the names of initialisers that the caller of a session could replace."""
    if proto.ir_version < _REPLACEABLE_IR_VERSION:
        return frozenset()
    return frozenset(info.name for info in proto.graph.input) & {tensor.name for tensor in proto.graph.initializer}


def _context(proto: ModelProto, known: _Known) -> Context:
    types = TypeTable()
    bindings = _bind(proto.graph, types, known.request)
    opsets = {entry.domain: entry.version for entry in proto.opset_import}
    facts = FactTable()
    return Context(
        types=types,
        facts=facts,
        inference=Inference(opsets, proto.ir_version, types, facts),
        bindings=bindings,
        nodes_left=2 * known.room.nodes,
        edges_left=known.room.edges,
        room=known.room,
        distinct_left=MAX_DISTINCT,
        evaluates=known.evaluates,
        takes_largest=known.request is not None,
        values={} if known.request is None else known.request.values,
        replaceable=known.replaceable,
    )


def _invalid(path: Path | str) -> InputError:
    return InputError(
        f"{path} is not a valid ONNX model, or nests too deeply.", "Export or download the model again."
    )


def _bind(graph: GraphProto, types: TypeTable, request: Request | None) -> Bindings:
    if request is None or not request.fixes_sizes:
        return Bindings()
    graph_inputs = _input_types(graph, types)
    for scope in _graphs(graph):
        for infos in (scope.input, scope.value_info, scope.output):
            for info in infos:
                types.read(info.type)  # collects the symbols
    bindings = bind(
        request,
        graph_inputs=graph_inputs,
        symbols=types.symbols,
        tensors=lambda: {name for scope in _graphs(graph) for node in scope.node for name in node.output},
    )
    types.bind(bindings.sizes)
    return bindings


def _by_axis(graph_inputs: Mapping[str, TensorType], request: Request) -> dict[str, tuple[int, ...]]:
    """Return the shapes of inputs of which the caller gave single dimensions, where all are known by that."""
    found: dict[str, tuple[int, ...]] = {}
    for dim in request.dims:
        name = dim.rpartition("[")[0]
        shape = graph_inputs[name].shape if dim.endswith("]") and name in graph_inputs else None
        known = tuple(size for size in shape or () if isinstance(size, int))
        if shape and len(known) == len(shape):
            found[name] = known
    return found


def _inputs_as_bound(graph: GraphProto, request: Request) -> dict[str, TensorType]:
    """Return the types of the graph's inputs with what the caller settled in place."""
    types = TypeTable()
    bindings = _bind(graph, types, request)
    found = {
        name: types.of(of.dtype, bindings.shapes[name]) if name in bindings.shapes else of
        for name, of in _input_types(graph, types).items()
    }
    for name in bindings.axes.keys() & found.keys():
        of, fixed = found[name], bindings.axes[name]
        found[name] = types.of(of.dtype, tuple(fixed.get(axis, dim) for axis, dim in enumerate(of.shape or ())))
    return found


def _input_types(graph: GraphProto, types: TypeTable) -> dict[str, TensorType]:
    initialized = {tensor.name for tensor in graph.initializer}
    initialized |= {sparse.values.name for sparse in graph.sparse_initializer}
    return {info.name: types.read(info.type) for info in graph.input if info.name not in initialized}


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    stack = [graph]
    while stack:
        found = stack.pop()
        yield found
        stack += [body for node in found.node for body in bodies(node)]
