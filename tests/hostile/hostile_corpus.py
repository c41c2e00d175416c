"""Hostile ONNX files, each made on demand from a few lines: what a stranger could send.

Every entry of ``CORPUS`` gives the bytes of one file. What they have in common: memprof must answer with a report or
with one sentence, soon and in little memory. ``ACCEPTED`` names those that are odd but valid, and must be analysed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    StringStringEntryProto,
    TensorProto,
    TypeProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

from tests.onnx_models import FLOAT, integers, model, node, tensor

TEN_MB = 10 * 2**20


def relu(shape: tuple[int | str | None, ...] = (2, 3), *, reads: str = "x", writes: str = "y") -> ModelProto:
    """Return the smallest honest model, to be spoilt."""
    return model([node("Relu", [reads], [writes])], inputs=[tensor("x", shape)], outputs=[writes])


def _spoilt(change: Callable[[ModelProto], None]) -> bytes:
    found = relu()
    change(found)
    return found.SerializeToString()


def _field(number: int, payload: bytes) -> bytes:
    """Return one length-delimited field of the wire format."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(encoded) + bytes([value])


def _random_bytes(seed: int) -> bytes:
    return random.Random(seed).randbytes(4096)


def _dims(*shape: int) -> bytes:
    return relu(shape).SerializeToString()


def _initializer_dims(*shape: int, dtype: int = FLOAT) -> bytes:
    weight = TensorProto(name="w", dims=shape, data_type=dtype)
    return model([node("Relu", ["w"], ["y"])], initializers=[weight], outputs=["y"]).SerializeToString()


def _value_info_dims() -> bytes:
    def change(found: ModelProto) -> None:
        found.graph.value_info.append(tensor("y", [2**62, 2**62]))

    return _spoilt(change)


def _reshape_to(*shape: int) -> bytes:
    return model(
        [node("Reshape", ["x", "s"], ["y"]), node("Relu", ["y"], ["z"])],
        inputs=[tensor("x", [4])],
        initializers=[integers("s", *shape)],
        outputs=["z"],
    ).SerializeToString()


def _opset(version: int) -> bytes:
    def change(found: ModelProto) -> None:
        found.opset_import[0].version = version

    return _spoilt(change)


def _duplicates(what: str) -> bytes:
    nodes = [node("Relu", ["x"], ["y"])] * (2 if what == "outputs" else 1)
    inputs = [tensor("x", [2, 3])] * (2 if what == "inputs" else 1)
    weights = [integers("w", 1)] * (2 if what == "initializers" else 1)
    return model(nodes, inputs=inputs, initializers=weights, outputs=["y"]).SerializeToString()


def _named(name: str) -> bytes:
    found = relu()
    found.graph.node[0].input[0] = found.graph.input[0].name = name + "in"
    found.graph.node[0].output[0] = found.graph.output[0].name = name
    found.graph.node[0].name = name
    found.graph.name = name
    return found.SerializeToString()


def _not_utf8() -> bytes:
    return _named("QQQQ").replace(b"QQQQ", b"\xff\xfe\xc3\x28")


def _cycle() -> bytes:
    return model([node("Relu", ["b"], ["a"]), node("Relu", ["a"], ["b"])], outputs=["b"]).SerializeToString()


def _unsorted() -> bytes:
    nodes = [node("Relu", ["a"], ["b"]), node("Relu", ["x"], ["a"])]
    return model(nodes, inputs=[tensor("x", [2])], outputs=["b"]).SerializeToString()


def _external(path: str) -> bytes:
    weight = TensorProto(name="w", dims=[4], data_type=FLOAT, data_location=TensorProto.EXTERNAL)
    weight.external_data.append(StringStringEntryProto(key="location", value=path))
    return model([node("Relu", ["w"], ["y"])], initializers=[weight], outputs=["y"]).SerializeToString()


def _functions(count: int, calls_each: int) -> bytes:
    """f0 calls f1 ``calls_each`` times, f1 calls f2, and so on."""
    functions = []
    for i in range(count):
        last = i == count - 1
        steps = [f"t{k}" for k in range(1 if last else calls_each)]
        reads = ["a", *steps[:-1]]
        nodes = [
            NodeProto(op_type="Relu" if last else f"f{i + 1}", domain="" if last else "my", input=[r], output=[w])
            for r, w in zip(reads, steps, strict=True)
        ]
        functions.append(
            FunctionProto(
                name=f"f{i}",
                domain="my",
                input=["a"],
                output=[steps[-1]],
                node=nodes,
                opset_import=[helper.make_opsetid("", 17), helper.make_opsetid("my", 1)],
            )
        )
    call = NodeProto(op_type="f0", domain="my", input=["x"], output=["y"])
    return model([call], inputs=[tensor("x", [2])], outputs=["y"], functions=functions).SerializeToString()


def _recursive_functions() -> bytes:
    functions = [
        FunctionProto(
            name=name,
            domain="my",
            input=["a"],
            output=["b"],
            node=[NodeProto(op_type=other, domain="my", input=["a"], output=["b"])],
        )
        for name, other in (("f", "g"), ("g", "f"))
    ]
    call = NodeProto(op_type="f", domain="my", input=["x"], output=["y"])
    return model([call], inputs=[tensor("x", [2])], outputs=["y"], functions=functions).SerializeToString()


def _nested_ifs(depth: int) -> bytes:
    """Written byte by byte: protobuf itself refuses to build it."""
    body = node("Relu", ["x"], ["y"]).SerializeToString()
    for _ in range(depth):
        graph = _field(1, body) + _field(12, _field(1, b"y"))
        branch = _field(1, b"then_branch") + _field(6, graph) + _varint(20 << 3) + _varint(AttributeProto.GRAPH)
        body = _field(1, b"c") + _field(2, b"y") + _field(4, b"If") + _field(5, branch)
    inputs = [tensor("c", [], TensorProto.BOOL), tensor("x", [2])]
    frame = b"".join(_field(11, info.SerializeToString()) for info in inputs)
    return b"\x08\x08" + _field(7, _field(1, body) + frame + _field(12, _field(1, b"y")))


def _nested_loops(depth: int) -> bytes:
    """Each loop's carried value grows in every pass, so that no pass confirms the type it starts from."""
    grow = node("Concat", ["v", "v"], ["w"], axis=0)
    body_nodes = [grow]
    for i in range(depth):
        body = GraphProto(
            name=f"b{i}",
            node=[node("Identity", ["c"], ["c_out"]), *body_nodes],
            input=[ValueInfoProto(name="i"), ValueInfoProto(name="c"), ValueInfoProto(name="v")],
            output=[ValueInfoProto(name="c_out"), ValueInfoProto(name="w")],
        )
        body_nodes = [node("Loop", ["m", "", "v"], ["w"], body=body)]
    inputs = [tensor("m", [], TensorProto.INT64), tensor("v", [2])]
    return model(body_nodes, inputs=inputs, outputs=["w"]).SerializeToString()


def _doubling(op: str, count: int) -> bytes:
    """Each node doubles a constant: data propagation without bounds needs 2**count elements."""
    nodes = [
        node(op, [f"t{i}", f"t{i}"], [f"t{i + 1}"], **({"axis": 0} if op == "Concat" else {})) for i in range(count)
    ]
    nodes.append(node("ConstantOfShape", [f"t{count}"], ["y"]))
    return model(nodes, initializers=[integers("t0", 1, 1)], outputs=["y"]).SerializeToString()


def _unsqueezes(count: int) -> bytes:
    nodes = [node("Unsqueeze", [f"t{i}", "axes"], [f"t{i + 1}"]) for i in range(count)]
    return model(
        nodes, inputs=[tensor("t0", [2])], initializers=[integers("axes", 0)], outputs=[f"t{count}"]
    ).SerializeToString()


def _constant_maker(op: str, *reads: TensorProto, **attributes: object) -> bytes:
    nodes = [node(op, [r.name for r in reads], ["s"], **attributes), node("ConstantOfShape", ["s"], ["y"])]
    return model(nodes, initializers=reads, outputs=["y"]).SerializeToString()


def _packed(pattern: bytes, nodes: int) -> bytes:
    """Many tiny messages in each node: two bytes on disk, two hundred in memory."""
    body = _field(1, pattern * (1000 // len(pattern)))
    return _field(7, body * nodes)


def _deep_groups() -> bytes:
    return b"\x3b" * 100_000


def _deep_messages(depth: int) -> bytes:
    found = b""
    for _ in range(depth):  # TypeProto.Sequence inside TypeProto, again and again
        found = _field(4, _field(1, found))
    info = _field(1, b"x") + _field(2, found)
    return b"\x08\x08" + _field(7, _field(11, info))


def _wide_node(reads: int) -> bytes:
    return model([node("Sum", ["x"] * reads, ["y"])], inputs=[tensor("x", [2])], outputs=["y"]).SerializeToString()


def _many_nodes(count: int) -> bytes:
    one = _field(1, _field(1, b"x") + _field(4, b"Relu"))
    return b"\x08\x08" + _field(7, one * count)


def _all_outputs(count: int) -> bytes:
    names = [f"y{i}" for i in range(count)]
    nodes = [node("Relu", ["x"], [name]) for name in names]
    return model(nodes, inputs=[tensor("x", [2, 3])], outputs=names).SerializeToString()


def _graph_inputs(count: int) -> bytes:
    inputs = _numbered(11, count, b"x", tensor("", [2]).SerializeToString())
    return b"\x08\x08" + _field(7, _field(1, node("Relu", ["x0"], ["y"]).SerializeToString()) + inputs)


def _initializers(count: int) -> bytes:
    weights = _numbered(5, count, b"w", TensorProto(dims=[2], data_type=FLOAT).SerializeToString(), name=8)
    return b"\x08\x08" + _field(7, _field(1, node("Relu", ["w0"], ["y"]).SerializeToString()) + weights)


def _numbered(number: int, count: int, letter: bytes, more: bytes, *, name: int = 1) -> bytes:
    """Return ``count`` messages that differ in their names: written byte by byte, objects take seconds."""
    return b"".join(_field(number, more + _field(name, letter + b"%d" % i)) for i in range(count))


def _called(nodes: int, calls: int) -> bytes:
    """One function of a chain of nodes, called again and again."""
    chain = [NodeProto(op_type="Relu", input=[f"t{i}"], output=[f"t{i + 1}"]) for i in range(nodes)]
    function = FunctionProto(name="f", domain="my", input=["t0"], output=[f"t{nodes}"], node=chain)
    function.opset_import.append(helper.make_opsetid("", 17))
    used = [NodeProto(op_type="f", domain="my", input=[f"v{i}"], output=[f"v{i + 1}"]) for i in range(calls)]
    return model(used, inputs=[tensor("v0", [2])], outputs=[f"v{calls}"], functions=[function]).SerializeToString()


def _all_alive(count: int, readers: int) -> bytes:
    """Tensors that all wait for the last nodes, which add them up."""
    nodes = [node("Relu", ["x"], [f"y{i}"]) for i in range(count)]
    each = count // readers
    sums = [f"s{k}" for k in range(readers)]
    nodes += [node("Sum", [f"y{i}" for i in range(k * each, (k + 1) * each)], [sums[k]]) for k in range(readers)]
    return model([*nodes, node("Sum", sums, ["z"])], inputs=[tensor("x", [2])], outputs=["z"]).SerializeToString()


def _shape_additions(count: int) -> bytes:
    """Each adds one to a shape that is known, so that no two nodes are alike."""
    nodes = [node("Shape", ["x"], ["t0"])]
    nodes += [node("Add", [f"t{i}", "one"], [f"t{i + 1}"]) for i in range(count)]
    nodes += [node("ConstantOfShape", [f"t{count}"], ["y"])]
    inputs = [tensor("x", [2, 3])]
    return model(nodes, inputs=inputs, initializers=[integers("one", 1)], outputs=["y"]).SerializeToString()


def _growing(count: int) -> bytes:
    """Each writes a tensor of another shape, which stays open."""
    nodes = [node("Concat", [f"t{i}", "x"], [f"t{i + 1}"], axis=0) for i in range(count)]
    inputs = [tensor("t0", ["n", 3]), tensor("x", [1, 3])]
    return model(nodes, inputs=inputs, outputs=[f"t{count}"]).SerializeToString()


def _strings(count: int) -> bytes:
    weight = _field(8, b"w") + b"\x08" + _varint(count) + b"\x10\x08" + _field(6, b"") * count
    return b"\x08\x08" + _field(7, _field(5, weight))


def _rank(rank: int) -> bytes:
    weight = _field(8, b"w") + _field(1, b"\x01" * rank) + b"\x10\x01"
    return b"\x08\x08" + _field(7, _field(5, weight))


def _odd_control_flow(op: str) -> bytes:
    empty = GraphProto(name="b")
    nodes = [
        NodeProto(op_type=op, output=["y"]),
        NodeProto(
            op_type=op,
            input=["x"] * 5,
            output=["z"] * 1,
            attribute=[
                AttributeProto(name="body", type=AttributeProto.GRAPH, g=empty),
                AttributeProto(name="then_branch", type=AttributeProto.GRAPH, g=empty),
                AttributeProto(name="num_scan_inputs", type=AttributeProto.INT, i=-(2**62)),
                AttributeProto(name="scan_input_axes", type=AttributeProto.INTS, ints=[2**62, -(2**62)]),
            ],
        ),
    ]
    return model(nodes, inputs=[tensor("x", [2, 3])], outputs=["y", "z"]).SerializeToString()


def _wrong_attribute_types() -> bytes:
    nodes = []
    for i, (op, attribute) in enumerate(
        [("Concat", "axis"), ("Transpose", "perm"), ("Constant", "value"), ("Cast", "to"), ("Shape", "start")]
    ):
        for kind in range(15):
            wrong = AttributeProto(name=attribute, type=kind)
            nodes.append(NodeProto(op_type=op, input=["s"], output=[f"y{i}_{kind}"], attribute=[wrong]))
    outputs = [name for each in nodes for name in each.output]
    return model(nodes, initializers=[integers("s", 2, 3)], outputs=outputs).SerializeToString()


def _expression(text: str) -> bytes:
    found = relu((text, "h"))
    return found.SerializeToString()


def _sequence_input() -> bytes:
    info = ValueInfoProto(name="x", type=TypeProto())
    info.type.sequence_type.elem_type.tensor_type.elem_type = FLOAT
    nodes = [node("SequenceLength", ["x"], ["n"]), node("Relu", ["x"], ["y"])]
    return model(nodes, inputs=[info], outputs=["n", "y"]).SerializeToString()


CORPUS: Mapping[str, Callable[[], bytes]] = MappingProxyType(
    {
        "empty": lambda: b"",
        "one_byte": lambda: b"\x08",
        "text": lambda: b"# not a model\n" * 100,
        "zip": lambda: b"PK\x03\x04" + bytes(200),
        "zeros": lambda: bytes(4096),
        **{f"random_{seed}": (lambda seed=seed: _random_bytes(seed)) for seed in range(20)},
        **{f"truncated_{n}": (lambda n=n: relu().SerializeToString()[: n * 5]) for n in range(1, 12)},
        "endless_varint": lambda: b"\xff" * 64,
        "length_over_the_end": lambda: b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        "deep_groups": _deep_groups,
        "no_graph": lambda: ModelProto(ir_version=8).SerializeToString(),
        "empty_graph": lambda: ModelProto(ir_version=8, graph=GraphProto()).SerializeToString(),
        "negative_dim": lambda: _dims(-5, 3),
        "zero_dim": lambda: _dims(0, 3),
        "dim_2_to_the_62": lambda: _dims(2**62),
        "dims_whose_product_overflows": lambda: _dims(2**40, 2**40, 2**40),
        "weight_negative_dim": lambda: _initializer_dims(-1, 3),
        "weight_zero_dim": lambda: _initializer_dims(0, 3),
        "weight_2_to_the_62": lambda: _initializer_dims(2**62, 2**62),
        "weight_without_data": lambda: _initializer_dims(1000, 1000),
        "value_info_2_to_the_62": _value_info_dims,
        "reshape_to_2_to_the_62": lambda: _reshape_to(2**62, 4),
        "reshape_to_negative": lambda: _reshape_to(-7, -9),
        "reshape_to_two_unknown": lambda: _reshape_to(-1, -1),
        "reshape_rank_1000": lambda: _reshape_to(*[1] * 1000),
        "rank_1_million": lambda: _rank(10**6),
        "rank_100": lambda: _rank(100),
        "duplicate_initializers": lambda: _duplicates("initializers"),
        "duplicate_inputs": lambda: _duplicates("inputs"),
        "duplicate_outputs": lambda: _duplicates("outputs"),
        "missing_names": lambda: _spoilt(lambda m: m.graph.input[0].ClearField("name")),
        "empty_output_name": lambda: _spoilt(lambda m: m.graph.node[0].output.__setitem__(0, "")),
        "empty_graph_output_name": lambda: _spoilt(lambda m: m.graph.output[0].ClearField("name")),
        "empty_weight_name": lambda: _spoilt(lambda m: m.graph.initializer.append(integers("", 1))),
        "no_operator": lambda: _spoilt(lambda m: m.graph.node[0].ClearField("op_type")),
        "ten_megabyte_name": lambda: _named("n" * TEN_MB),
        "ten_megabyte_operator": lambda: _spoilt(lambda m: setattr(m.graph.node[0], "op_type", "O" * TEN_MB)),
        "ten_megabyte_domain": lambda: _spoilt(lambda m: setattr(m.graph.node[0], "domain", "d" * TEN_MB)),
        "ten_megabyte_symbol": lambda: relu(("s" * TEN_MB, 3)).SerializeToString(),
        "control_characters": lambda: _named("\x1b[31m\r\n\x00\x07"),
        "bidirectional_name": lambda: _named("\u202egnp.exe\u2066"),
        "markup_name": lambda: _named("[/]"),
        "markup_and_html_name": lambda: _named("[bold red]<script>alert(1)</script>"),
        "not_utf8": _not_utf8,
        "cycle": _cycle,
        "self_loop": lambda: model([node("Relu", ["y"], ["y"])], outputs=["y"]).SerializeToString(),
        "unsorted": _unsorted,
        "undefined_input": lambda: relu(reads="nowhere").SerializeToString(),
        "undefined_output": lambda: _spoilt(lambda m: setattr(m.graph.output[0], "name", "nowhere")),
        "unknown_domain": lambda: _spoilt(lambda m: setattr(m.graph.node[0], "domain", "com.stranger")),
        "unknown_operator": lambda: _spoilt(lambda m: setattr(m.graph.node[0], "op_type", "Frobnicate")),
        "unknown_dtype": lambda: relu_dtype(9999),
        "negative_dtype": lambda: relu_dtype(-1),
        "unknown_weight_dtype": lambda: _initializer_dims(2, 3, dtype=9999),
        **{f"opset_{name}": (lambda v=v: _opset(v)) for name, v in (("0", 0), ("9999", 9999), ("minus", -3))},
        "opset_2_to_the_62": lambda: _opset(2**62),
        "no_opset": lambda: _spoilt(lambda m: m.ClearField("opset_import")),
        "external_data_elsewhere": lambda: _external("../../etc/passwd"),
        "external_data_absolute": lambda: _external("/etc/passwd"),
        "doubling_functions": lambda: _functions(24, 2),
        "deep_functions": lambda: _functions(3000, 1),
        "recursive_functions": _recursive_functions,
        "subgraphs_65_deep": lambda: _nested_ifs(65),
        "subgraphs_25_deep": lambda: _nested_ifs(25),
        "growing_loops_8_deep": lambda: _nested_loops(8),
        "growing_loops_20_deep": lambda: _nested_loops(20),
        "concat_doubling_40_times": lambda: _doubling("Concat", 40),
        "mul_squaring_40_times": lambda: _doubling("Mul", 40),
        "unsqueeze_500_times": lambda: _unsqueezes(500),
        "unsqueeze_20_000_times": lambda: _unsqueezes(20_000),
        "range_to_2_to_the_62": lambda: _constant_maker(
            "Range", _scalar("first", 0), _scalar("limit", 2**62), _scalar("step", 1)
        ),
        "tile_2_to_the_60": lambda: _constant_maker("Tile", integers("a", 1, 2), integers("r", 2**60)),
        "expand_2_to_the_60": lambda: _constant_maker("Expand", integers("a", 1), integers("r", 2**60)),
        "power_of_powers": lambda: _constant_maker("Pow", integers("a", 2**60), integers("b", 2**60)),
        "slice_with_odd_steps": lambda: _constant_maker(
            "Slice",
            integers("a", 1, 2),
            integers("b", 2**62),
            integers("c", -(2**62)),
            integers("d", 0),
            integers("e", 0),
        ),
        "tiny_attributes": lambda: _packed(b"\x2a\x00", 8000),
        "tiny_attribute_tensors": lambda: _packed(b"\x2a\x02\x52\x00", 8000),
        "tiny_inputs": lambda: _packed(b"\x0a\x00", 20_000),
        "type_nested_40_deep": lambda: _deep_messages(40),
        "type_nested_1000_deep": lambda: _deep_messages(1000),
        "million_inputs": lambda: _wide_node(10**6),
        "sixty_thousand_inputs": lambda: _wide_node(60_000),
        "too_many_nodes": lambda: _many_nodes(160_000),
        "all_values_are_outputs": lambda: _all_outputs(90_000),
        "sixteen_thousand_outputs": lambda: _all_outputs(16_000),
        "hundred_thousand_graph_inputs": lambda: _graph_inputs(10**5),
        "half_a_million_weights": lambda: _initializers(500_001),
        "thirty_nodes_called_4000_times": lambda: _called(30, 4000),
        "thirty_nodes_called_500_times": lambda: _called(30, 500),
        "ten_thousand_alive_at_once": lambda: _all_alive(10_000, 4),
        "forty_one_thousand_shape_additions": lambda: _shape_additions(41_000),
        "forty_one_thousand_open_sizes": lambda: _growing(41_000),
        "too_many_strings": lambda: _strings(4_100_000),
        **{f"odd_{op}": (lambda op=op: _odd_control_flow(op)) for op in ("If", "Loop", "Scan", "SequenceMap")},
        "wrong_attribute_types": _wrong_attribute_types,
        "expression_of_powers": lambda: _expression("9**9**9**9"),
        "expression_of_parentheses": lambda: _expression("(" * 5000 + "h" + ")" * 5000),
        "expression_of_code": lambda: _expression("__import__('os').system('true')"),
        "sequence_where_a_tensor_belongs": _sequence_input,
    }
)
"""Every hostile file by name."""

ACCEPTED = frozenset(
    {
        "bidirectional_name",
        "control_characters",
        "empty_graph",
        "external_data_absolute",
        "external_data_elsewhere",
        "markup_and_html_name",
        "markup_name",
        "weight_without_data",
        "weight_zero_dim",
        "zero_dim",
    }
)
"""Odd but valid: these must be analysed, with a number at the end."""


def _scalar(name: str, value: int) -> TensorProto:
    return numpy_helper.from_array(np.array(value, dtype=np.int64), name)


def relu_dtype(dtype: int) -> bytes:
    """Return the smallest model with an element type that does not exist."""
    return model([node("Relu", ["x"], ["y"])], inputs=[tensor("x", [2, 3], dtype)], outputs=["y"]).SerializeToString()
