"""Small graphs whose reports the renderers' tests draw."""

from __future__ import annotations

from collections.abc import Sequence

from memprof import Graph, GraphBuilder, TensorType
from memprof.ir import NewValue, Unknown

BYTE = TensorType("uint8", (1,))

HOSTILE_NAMES = (
    "[/]",
    "[red]x",
    "=cmd()",
    "+1",
    "-1",
    "@SUM(1)",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\u202eevil\u202c",
    "\x1b[31mred\x1b[0m",
    "two\nlines\tand a tab",
    "a|b`c*d_e~f",
    "![x](http://evil) @everyone www.evil.example #1",
    "</title></svg></style>",
    "x" * 300_000,
    "漢字" * 60,
    "z̷" * 300,
)


def chain(sizes: Sequence[int | None], name: str = "chain") -> Graph:
    """Return a chain of operations whose tensors ``t0``, ``t1``, ... have ``sizes`` bytes, ``None`` for unknown."""
    types = [TensorType("uint8", (size if size is not None else "n",)) for size in sizes]
    builder = GraphBuilder(name)
    last = builder.add_input("t0", types[0])
    for i, type_ in enumerate(types[1:], start=1):
        (written,) = builder.add_node("Op", [last], [NewValue(f"t{i}", type_)], name=f"op{i}")
        assert written is not None
        last = written
    if None in sizes:
        builder.add_unknown(
            Unknown(kind="dimension", name="n", reason="The file gives no number for it.", hint="--dim n=N")
        )
    return builder.build([last])


def wide(names: Sequence[str], size_bytes: int = 1) -> Graph:
    """Return a graph whose peak holds a tensor written by an operation of each name, all joined at the end."""
    builder = GraphBuilder("wide")
    type_ = TensorType("uint8", (size_bytes,))
    source = builder.add_input("source", type_)
    parts = [builder.add_node(name, [source], [NewValue(name, type_)], name=name, module=name)[0] for name in names]
    (joined,) = builder.add_node("Concat", parts, [NewValue("joined", type_)], name="join")
    assert joined is not None
    for name in names:
        builder.add_unknown(Unknown(kind=name, name=name, reason=name, hint=name))
    return builder.build([joined])


def figure_1b() -> Graph:
    """Return the cell of the MemNAS paper's Figure 1(b), one byte per tensor, as it is drawn."""
    builder = GraphBuilder("fig1b")
    ids = {"r1": builder.add_input("r1", BYTE)}

    def add(op: str, inputs: Sequence[str], output: str) -> None:
        (written,) = builder.add_node(op, [ids[i] for i in inputs], [NewValue(output, BYTE)], name=f"{op}_{output}")
        assert written is not None
        ids[output] = written

    for op, inputs, output in (
        ("dw", ["r1"], "r2"),
        ("fac", ["r1"], "r3"),
        ("dw", ["r1"], "r5"),
        ("add", ["r2", "r3"], "r4"),
        ("avg", ["r4"], "r6"),
        ("max", ["r4"], "r8"),
        ("concat", ["r6", "r5"], "r7"),
        ("max", ["r7"], "r9"),
        ("add", ["r8", "r9"], "r10"),
        ("concat", ["r10", "r7"], "r11"),
    ):
        add(op, inputs, output)
    return builder.build([ids["r11"]])
