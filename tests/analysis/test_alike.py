"""Nodes are alike that are equal in all that a rule about one of them looks at."""

from __future__ import annotations

from typing import Any

import pytest

from memprof.analysis.alike import alike
from memprof.analysis.macs import count_macs, counting
from memprof.ir import GraphBuilder, NewValue, TensorType

F4, F8 = TensorType("float32", (2, 4)), TensorType("float32", (2, 8))


def test_names_and_places_do_not_count_and_all_else_does() -> None:
    builder = GraphBuilder()
    x, wide = builder.add_input("x", F4), builder.add_input("wide", F8)
    w, one, two = (builder.add_parameter(name, F4) for name in ("w", "one", "two"))
    attributes: dict[str, Any] = {"alpha": 1.0}
    same: dict[str, Any] = {"attributes": attributes}

    def add(name: str, op: str, inputs: list[int | None], of: TensorType = F4, **more: Any) -> int:
        (value,) = builder.add_node(op, inputs, [NewValue(name, of)], **{**same, **more})
        assert value is not None
        return value

    first = add("a", "Op", [x, x])
    add("b", "Op", [first, first], module="inner", line="net.py:1")
    unlike = (
        ("c", "Other", [x, x], {}),
        ("d", "Op", [x, w], {}),
        ("e", "Op", [x, wide], {}),
        ("f", "Op", [x, x, None], {}),
        ("g", "Op", [x, x], {"of": F8}),
        ("h", "Op", [x, x], {"attributes": {"alpha": 2.0}}),
        ("i", "Op", [x, x], {"is_malformed": True}),
        ("j", "Op", [x, one], {}),
        ("k", "Op", [x, two], {}),
    )
    for name, op, inputs, more in unlike:
        add(name, op, list(inputs), **more)
    kinds = alike(builder.build([first], elements={one: (1.0,), two: (2.0,)}))
    assert kinds[0] == kinds[1]
    assert len({*kinds[1:]}) == len(kinds) - 1


def test_a_formula_is_asked_once_about_operations_that_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = GraphBuilder()
    last, w = builder.add_input("x", F4), builder.add_parameter("w", TensorType("float32", (4, 4)))
    shared: dict[str, Any] = {}
    for i in range(7):
        (value,) = builder.add_node(
            "MatMul", [last, w], [NewValue(f"y{i}", F4)], attributes=shared if i else {"a": 1}
        )
        assert value is not None
        last = value
    asked: list[str] = []
    macs = counting._macs
    monkeypatch.setattr(counting, "_macs", lambda operation, *more: (asked.append(""), macs(operation, *more))[1])
    total, _ = count_macs(builder.build([last]))
    assert total == 7 * 2 * 4 * 4
    assert len(asked) == 2
