"""What a tensor is called where there is little room."""

from __future__ import annotations

import pytest

from memprof.analysis.describing import name_value
from memprof.ir import GraphBuilder, NewValue, TensorType


@pytest.mark.parametrize(
    ("tensor", "shown"),
    [
        ("reorder_token_6", "features.2"),
        ("features.2/com.microsoft.nchwc.Conv", "features.2"),
        ("my_reorder_token_6", "my_reorder_token_6"),
        ("plain", "plain"),
    ],
)
def test_a_tensor_that_a_session_made_is_called_after_its_operation(tensor: str, shown: str) -> None:
    builder = GraphBuilder("net")
    image = builder.add_input("image", TensorType("float32", (1,)))
    written = NewValue(tensor, TensorType("float32", (1,)))
    (made,) = builder.add_node("com.microsoft.nchwc.Conv", [image], [written], name="features.2_nchwc")
    graph = builder.build([made])
    assert name_value(graph.values[made], graph) == shown
    assert name_value(graph.values[image], graph) == "image"
