"""Mutants that know the format: each changes a few fields of a valid model, so that what follows the parser meets it.

Where ``mutant.py`` flips bytes, these break what bytes rarely reach: types and lengths of attributes, ranks and
symbols of shapes, counts of inputs, the operation itself, constants that decide shapes, bodies, functions. Seeded.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

import onnx.defs
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

KEPT_BYTES = 1024
"""Longer weights are dropped: memprof never reads them."""

INTEGERS = (
    0,
    1,
    -1,
    2,
    3,
    4,
    5,
    7,
    8,
    64,
    127,
    -2,
    -3,
    1000,
    65536,
    2**31 - 1,
    2**31,
    -(2**31),
    2**40,
    2**63 - 1,
    -(2**63),
)
SIZES = (0, 1, 2, 3, 5, 8, 64, 1000, 2**20, 2**31, 2**40, -1, -7)
FLOATS = (0.0, 1.0, -1.0, 0.5, 2.0, 1e30, -1e30, float("inf"), float("nan"), 1e-30)
TEXTS = (
    b"",
    b"NOTSET",
    b"SAME_UPPER",
    b"VALID",
    b"nearest",
    b"cubic",
    b"linear",
    b"constant",
    b"bidirectional",
    b"reverse",
    b"\xff\xfe",
    b"ij,jk->ik",
    b"x" * 300,
)
KINDS = (
    AttributeProto.INT,
    AttributeProto.INTS,
    AttributeProto.FLOAT,
    AttributeProto.FLOATS,
    AttributeProto.STRING,
    AttributeProto.STRINGS,
    AttributeProto.TENSOR,
    AttributeProto.GRAPH,
    AttributeProto.TYPE_PROTO,
    AttributeProto.UNDEFINED,
)
COMMON_ATTRIBUTES = (
    *("axis", "axes", "perm", "pads", "strides", "dilations", "kernel_shape", "group", "auto_pad", "ceil_mode", "to"),
    *("alpha", "beta", "transA", "transB", "hidden_size", "direction", "layout", "keepdims", "noop_with_empty_axes"),
    *(
        "split",
        "num_outputs",
        "blocksize",
        "mode",
        "scales",
        "shape",
        "value",
        "allowzero",
        "start",
        "end",
        "num_heads",
    ),
    *("output_shape", "output_padding", "equation", "epsilon", "kv_num_heads", "qkv_hidden_sizes", "channels"),
    *("num_scan_inputs", "scan_input_axes", "largest", "sorted", "batch_dims", "fmod", "block_channels", "k"),
)
OPERATIONS = sorted({schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""})
CONTRIBUTED = (
    "FusedConv",
    "QLinearAdd",
    "QLinearConcat",
    "QGemm",
    "MultiHeadAttention",
    "Attention",
    "GroupQueryAttention",
    "SkipLayerNormalization",
    "MatMulNBits",
    "FusedMatMul",
    "Gelu",
    "NhwcMaxPool",
    "QLinearConv",
    "DynamicQuantizeLSTM",
    "QAttention",
)
DTYPES = (*range(29), 99, -1)


def strip(model: ModelProto) -> ModelProto:
    """Return ``model`` without long weights; their shapes stay."""
    for graph in graphs(model.graph):
        for tensor in graph.initializer:
            for field in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
                if len(getattr(tensor, field)) > KEPT_BYTES:
                    tensor.ClearField(field)
    return model


def graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """Yield a graph and its bodies."""
    stack = [graph]
    while stack:
        found = stack.pop()
        yield found
        stack += [a.g for node in found.node for a in node.attribute if a.type == AttributeProto.GRAPH]


def mutate(original: ModelProto, seed: int) -> ModelProto:
    """Return a copy of ``original`` with one to four changes."""
    rng = random.Random(seed)
    found = ModelProto()
    found.CopyFrom(original)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
        change = rng.choice(CHANGES)
        try:
            change(found, rng)
        except (IndexError, ValueError, TypeError):
            continue  # nothing of that kind is there to change
    return found


def _graph(model: ModelProto, rng: random.Random) -> GraphProto:
    return rng.choice(list(graphs(model.graph)))


def _node(model: ModelProto, rng: random.Random) -> NodeProto:
    if model.functions and rng.random() < 0.3:
        return rng.choice(rng.choice(model.functions).node)
    return rng.choice(_graph(model, rng).node)


def _fill(attribute: AttributeProto, kind: int, rng: random.Random) -> None:
    name = attribute.name
    attribute.Clear()
    attribute.name, attribute.type = name, kind
    if kind == AttributeProto.INT:
        attribute.i = rng.choice(INTEGERS)
    elif kind == AttributeProto.INTS:
        attribute.ints.extend(rng.choice(INTEGERS) for _ in range(rng.choice((0, 1, 2, 3, 4, 5, 8, 70))))
    elif kind == AttributeProto.FLOAT:
        attribute.f = rng.choice(FLOATS)
    elif kind == AttributeProto.FLOATS:
        attribute.floats.extend(rng.choice(FLOATS) for _ in range(rng.choice((0, 1, 2, 4, 5))))
    elif kind == AttributeProto.STRING:
        attribute.s = rng.choice(TEXTS)
    elif kind == AttributeProto.STRINGS:
        attribute.strings.extend(rng.choice(TEXTS) for _ in range(rng.choice((0, 1, 3))))
    elif kind == AttributeProto.TENSOR:
        attribute.t.data_type = rng.choice(DTYPES[:17])
        attribute.t.dims.extend(rng.choice(SIZES) for _ in range(rng.choice((0, 1, 2))))
        attribute.t.int64_data.extend(rng.choice(INTEGERS) for _ in range(rng.choice((0, 1, 3))))


def _attribute_type(model: ModelProto, rng: random.Random) -> None:
    _fill(rng.choice(_node(model, rng).attribute), rng.choice(KINDS), rng)


def _attribute_value(model: ModelProto, rng: random.Random) -> None:
    found = rng.choice(_node(model, rng).attribute)
    if found.type == AttributeProto.INTS and found.ints and rng.random() < 0.7:
        found.ints[rng.randrange(len(found.ints))] = rng.choice(INTEGERS)
    elif found.type == AttributeProto.FLOATS and found.floats:
        found.floats[rng.randrange(len(found.floats))] = rng.choice(FLOATS)
    elif found.type != AttributeProto.GRAPH:
        _fill(found, found.type, rng)


def _attribute_length(model: ModelProto, rng: random.Random) -> None:
    found = rng.choice([a for a in _node(model, rng).attribute if a.type == AttributeProto.INTS])
    if rng.random() < 0.5:
        del found.ints[rng.randrange(len(found.ints) + 1) :]
    else:
        found.ints.append(rng.choice(INTEGERS))


def _attribute_gone(model: ModelProto, rng: random.Random) -> None:
    attributes = _node(model, rng).attribute
    del attributes[rng.randrange(len(attributes))]


def _attribute_added(model: ModelProto, rng: random.Random) -> None:
    found = _node(model, rng).attribute.add(name=rng.choice(COMMON_ATTRIBUTES))
    _fill(found, rng.choice(KINDS), rng)


def _input_gone(model: ModelProto, rng: random.Random) -> None:
    reads = _node(model, rng).input
    if rng.random() < 0.5:
        reads[rng.randrange(len(reads))] = ""
    else:
        del reads[rng.randrange(len(reads)) :]


def _input_other(model: ModelProto, rng: random.Random) -> None:
    graph = _graph(model, rng)
    place = rng.randrange(len(graph.node))
    known = [i.name for i in graph.input] + [t.name for t in graph.initializer]
    known += [name for node in graph.node[:place] for name in node.output if name]
    reads = graph.node[place].input
    if rng.random() < 0.3:
        reads.append(rng.choice(known))
    else:
        reads[rng.randrange(len(reads))] = rng.choice(known)


def _inputs_swapped(model: ModelProto, rng: random.Random) -> None:
    reads = _node(model, rng).input
    order = list(reads)
    rng.shuffle(order)
    del reads[:]
    reads.extend(order)


def _output_changed(model: ModelProto, rng: random.Random) -> None:
    writes = _node(model, rng).output
    how = rng.randrange(3)
    if how == 0:
        writes.append(rng.choice(("", f"extra{rng.randrange(1000)}")))
    elif how == 1:
        writes.insert(0, f"extra{rng.randrange(1000)}")
    else:
        writes[rng.randrange(len(writes))] = ""


def _operation(model: ModelProto, rng: random.Random) -> None:
    node = _node(model, rng)
    node.op_type, node.domain = rng.choice(OPERATIONS), rng.choice(("", "", "", "ai.onnx"))


def _contributed(model: ModelProto, rng: random.Random) -> None:
    node = _node(model, rng)
    node.op_type, node.domain = rng.choice(CONTRIBUTED), "com.microsoft"
    if not any(entry.domain == "com.microsoft" for entry in model.opset_import):
        model.opset_import.add(domain="com.microsoft", version=1)


def _domain(model: ModelProto, rng: random.Random) -> None:
    _node(model, rng).domain = rng.choice(("", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc", "acme"))


def _infos(model: ModelProto, rng: random.Random) -> Sequence[ValueInfoProto]:
    graph = _graph(model, rng)
    return rng.choice([found for found in (graph.input, graph.value_info, graph.output) if found])


def _dimension(model: ModelProto, rng: random.Random) -> None:
    dim = rng.choice(rng.choice(_infos(model, rng)).type.tensor_type.shape.dim)
    how = rng.randrange(3)
    if how == 0:
        dim.dim_param = rng.choice(("n", "batch", "", "unk__1", "h*2"))
    elif how == 1:
        dim.dim_value = rng.choice(SIZES)
    else:
        dim.Clear()


def _rank(model: ModelProto, rng: random.Random) -> None:
    of = rng.choice(_infos(model, rng)).type.tensor_type
    how = rng.randrange(4)
    if how == 0:
        of.ClearField("shape")
    elif how == 1:
        del of.shape.dim[rng.randrange(len(of.shape.dim)) :]
    else:
        of.shape.dim.add(dim_value=rng.choice(SIZES))


def _element_type(model: ModelProto, rng: random.Random) -> None:
    rng.choice(_infos(model, rng)).type.tensor_type.elem_type = rng.choice(DTYPES)


def _not_a_tensor(model: ModelProto, rng: random.Random) -> None:
    of = rng.choice(_infos(model, rng)).type
    of.Clear()
    if rng.random() < 0.5:
        of.sequence_type.elem_type.tensor_type.elem_type = 1
    elif rng.random() < 0.5:
        of.optional_type.elem_type.tensor_type.elem_type = 1


def _all_records_gone(model: ModelProto, rng: random.Random) -> None:
    del model.graph.value_info[:]


def _weight_shape(model: ModelProto, rng: random.Random) -> None:
    dims = rng.choice(_graph(model, rng).initializer).dims
    how = rng.randrange(3)
    if how == 0:
        dims[rng.randrange(len(dims))] = rng.choice(SIZES)
    elif how == 1:
        del dims[rng.randrange(len(dims)) :]
    else:
        dims.append(rng.choice(SIZES[:6]))


def _weight_type(model: ModelProto, rng: random.Random) -> None:
    rng.choice(_graph(model, rng).initializer).data_type = rng.choice(DTYPES)


def _weight_elements(model: ModelProto, rng: random.Random) -> None:
    small = [t for t in _graph(model, rng).initializer if t.data_type == TensorProto.INT64]
    constants = [a.t for n in _graph(model, rng).node for a in n.attribute if a.type == AttributeProto.TENSOR]
    found = rng.choice(small + [t for t in constants if t.data_type == TensorProto.INT64])
    count = 1
    for dim in found.dims:
        count *= max(0, dim)
    found.ClearField("raw_data")
    del found.int64_data[:]
    found.int64_data.extend(rng.choice(INTEGERS) for _ in range(min(count, 100)))


def _node_gone(model: ModelProto, rng: random.Random) -> None:
    nodes = _graph(model, rng).node
    del nodes[rng.randrange(len(nodes))]


def _node_again(model: ModelProto, rng: random.Random) -> None:
    graph = _graph(model, rng)
    place = rng.randrange(len(graph.node))
    copy = graph.node.add()
    copy.CopyFrom(graph.node[place])
    for i, name in enumerate(copy.output):
        copy.output[i] = f"{name}_again{rng.randrange(10**6)}" if name else ""


def _nodes_swapped(model: ModelProto, rng: random.Random) -> None:
    nodes = _graph(model, rng).node
    i = rng.randrange(len(nodes) - 1)
    first, second = NodeProto(), NodeProto()
    first.CopyFrom(nodes[i])
    second.CopyFrom(nodes[i + 1])
    nodes[i].CopyFrom(second)
    nodes[i + 1].CopyFrom(first)


def _graph_output(model: ModelProto, rng: random.Random) -> None:
    graph = _graph(model, rng)
    how = rng.randrange(4)
    if how == 0:
        del graph.output[rng.randrange(len(graph.output))]
    elif how == 1:
        graph.output.add().CopyFrom(rng.choice(graph.output))
    else:
        known = [name for node in graph.node for name in node.output] + [i.name for i in graph.input]
        graph.output.add(name=rng.choice(known + [t.name for t in graph.initializer]))


def _graph_input(model: ModelProto, rng: random.Random) -> None:
    graph = _graph(model, rng)
    how = rng.randrange(3)
    if how == 0:
        graph.input.add(name=rng.choice(graph.initializer).name)
    elif how == 1:
        rng.choice(graph.input).ClearField("type")
    else:
        del graph.input[rng.randrange(len(graph.input))]


def _versions(model: ModelProto, rng: random.Random) -> None:
    if rng.random() < 0.7:
        rng.choice(model.opset_import).version = rng.choice((*range(1, 24), 0, 99, 2**40, -1))
    else:
        model.ir_version = rng.choice((0, 3, 4, 8, 99))


def _function_frame(model: ModelProto, rng: random.Random) -> None:
    function = rng.choice(model.functions)
    part = rng.choice((function.input, function.output, function.attribute))
    if rng.random() < 0.5:
        part.append("extra")
    else:
        del part[rng.randrange(len(part))]


CHANGES: Sequence[Callable[[ModelProto, random.Random], None]] = (
    *([_attribute_type] * 3),
    *([_attribute_value] * 4),
    *([_attribute_length] * 2),
    *([_attribute_gone, _attribute_added] * 2),
    *([_input_gone, _input_other, _inputs_swapped, _output_changed] * 2),
    *([_operation] * 4),
    *([_contributed] * 2),
    _domain,
    *([_dimension] * 4),
    *([_rank] * 3),
    *(_element_type, _not_a_tensor, _all_records_gone),
    *([_weight_shape] * 3),
    _weight_type,
    *([_weight_elements] * 3),
    *(_node_gone, _node_again, _nodes_swapped, _graph_output, _graph_input, _versions, _function_frame),
)
