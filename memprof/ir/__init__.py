"""The intermediate representation: tensors, operations and the graph they form."""

from memprof.ir.builder import GraphBuilder, NewValue
from memprof.ir.graph import BOUND, Activation, Assumption, Attribute, Graph, Node, Role, Unknown, Value
from memprof.ir.types import DTYPE_BITS, Dim, TensorType

__all__ = [
    "BOUND",
    "DTYPE_BITS",
    "Activation",
    "Assumption",
    "Attribute",
    "Dim",
    "Graph",
    "GraphBuilder",
    "NewValue",
    "Node",
    "Role",
    "TensorType",
    "Unknown",
    "Value",
]
